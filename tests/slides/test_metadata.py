"""OME-XML from files that anybody may have written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.slides.metadata import QPI, QpiPage, images_behind, parse_xml, read_ome, read_qpi

SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
OME = f'<OME xmlns="{SPACE}"><Image Name="x"><Pixels {{}}>{{}}</Pixels></Image></OME>'


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE OME [<!ENTITY a "aaaa">]><OME>&a;</OME>',
        '<?xml version="1.0"?><!DOCTYPE OME SYSTEM "file:///etc/passwd"><OME/>',
        "<OME><Image></OME>",
        "no xml",
        "",
        "<OME>" + "<a>" * 5,
    ],
)
def test_what_could_define_entities_or_is_broken_is_not_read(text: str) -> None:
    assert parse_xml(text) is None
    assert read_ome(text) == []


@given(st.text(max_size=200))
def test_no_text_is_an_error(text: str) -> None:
    assert read_ome(text) == []
    read_ome("<OME>" + text)


ODD = st.text(st.characters(exclude_characters='<&"', exclude_categories=["Cs", "Cc"]), max_size=12)


@given(ODD, ODD, ODD)
def test_odd_values_count_as_not_said(x: str, c: str, size: str) -> None:
    for image in read_ome(OME.format(f'SizeX="{x}" SizeC="{c}" PhysicalSizeX="{size}"', '<TiffData IFD="-1"/>')):
        assert image.size[0] >= 0
        assert len(image.planes) <= 1024


def test_planes_lie_where_tiff_data_says() -> None:
    data = "".join(f'<Channel Name="{name}"/>' for name in ("Green", "Blue", "Red")) + "".join(
        f'<TiffData IFD="{page}" FirstC="{channel}"/>' for channel, page in ((0, 7), (1, 9), (2, 8))
    )
    [image] = read_ome(OME.format('SizeX="4" SizeY="3" SizeC="3" SignificantBits="12"', data))
    assert (image.size, image.planes, image.rgb_planes, image.bits) == ((4, 3), (7, 9, 8), (8, 7, 9), 12)


def test_planes_in_other_files_are_seen() -> None:
    data = "".join(f'<TiffData><UUID FileName="{name}.ome.tif"/></TiffData>' for name in "ab")
    [image] = read_ome(OME.format('SizeX="4" SizeY="3" SizeC="2"', data))
    assert image.elsewhere


@given(ODD, ODD, ODD)
def test_odd_values_of_perkinelmer_count_as_not_said(kind: str, mpp: str, power: str) -> None:
    profile = f"<ScanProfile><root><PixelSizeMicrons>{mpp}</PixelSizeMicrons></root></ScanProfile>"
    text = f"<{QPI}><ImageType>{kind}</ImageType><Objective>{power}</Objective>{profile}</{QPI}>"
    page = read_qpi(text)
    assert page is not None
    for value in (page.mpp, page.objective_power):
        assert value is None or 0 < value < float("inf")


@pytest.mark.parametrize(
    ("text", "page"),
    [
        (f"<{QPI}/>", QpiPage("", None, None)),
        (f"<{QPI}><Objective> 40X </Objective></{QPI}>", QpiPage("", None, 40.0)),
        (f"<{QPI}><Objective>Plan 40</Objective><ImageType>Label</ImageType></{QPI}>", QpiPage("Label", None, None)),
        (f"<OME><{QPI}/></OME>", None),
        (f"<!DOCTYPE a><{QPI}/>", None),
        ("no xml", None),
    ],
)
def test_what_perkinelmer_says_of_a_page(text: str, page: QpiPage | None) -> None:
    assert read_qpi(text) == page
    assert page is None or page.is_side_image == (page.kind == "Label")


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ('{"shape": [3, 4, 5, 3], "truncated": true}', 3),
        ('{"shape": [3, 4, 5, 3]}', 1),
        ('{"shape": [4, 5, 3], "truncated": true}', 1),
        ("ImageJ=1.54f\nimages=7\nslices=7\n", 7),
        ("ImageJ=1.54f\nimages=x\n", 1),
        ("an image\nimages=7\n", 1),
        ("", 1),
    ],
)
def test_images_in_one_page_are_counted(text: str, n: int) -> None:
    assert images_behind(text, 5, 4, 3) == n
    images_behind(text, 0, 4, 3)  # a header may say anything
