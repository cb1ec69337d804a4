"""Ids of slides: harmless, each once, and those that a run has stay."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypoxia_hpc.cohorts.manifests import Candidate
from hypoxia_hpc.cohorts.naming import KnownSlide, derived_ids, slide_id_from_name, unique_slide_ids, with_known_ids
from hypoxia_hpc.config import NAME_PATTERN


@given(st.text(min_size=1))
def test_any_name_gives_a_harmless_id(name: str) -> None:
    assert re.fullmatch(NAME_PATTERN, slide_id_from_name(name))


@pytest.mark.parametrize(
    ("name", "slide_id"),
    [
        ("TCGA-E7-A6MF-01Z-00-DX1.766edac4.svs", "TCGA-E7-A6MF-01Z-00-DX1.766edac4"),
        ("<script>.svs", "script-"),
        ("..", "slide-5ec1f7e7"),
        (".tmp-x.svs", "tmp-x"),
        ("a b\n(2).ome.tif", "a-b--2-.ome"),
        ("x" * 200 + ".svs", "x" * 128),
        ("Müller.svs", "Muller"),
        ("Mu\u0308ller.svs", "Muller"),  # as macOS writes it
        ("Łukasz ½ №2.svs", "ukasz-1-2-No2"),
        ("Straße.svs", "Stra-e"),
    ],
)
def test_slide_ids(name: str, slide_id: str) -> None:
    assert slide_id_from_name(name) == slide_id


def test_names_of_which_nothing_remains_stay_apart() -> None:
    assert slide_id_from_name("組織.svs") != slide_id_from_name("腫瘍.svs")


@pytest.mark.parametrize(
    ("paths", "ids"),
    [
        (["a.svs", "b/c.svs"], ["a", "c"]),
        (["case1/HE.svs", "case2/HE.svs", "case2/IHC.svs"], ["case1-HE", "case2-HE", "IHC"]),
        (["HE.svs", "case2/he.svs"], ["HE", "case2-he"]),
        (["a/x/HE.svs", "b/x/HE.svs"], ["a-x-HE", "b-x-HE"]),
        (["a.svs", "a.tif", "b.tif"], ["a.svs", "a.tif", "b"]),
        (["c/a.svs", "c/a.tif"], ["c-a.svs", "c-a.tif"]),
        (["Müller.svs", "Möller.svs"], ["Muller", "Moller"]),
        (["a b.svs", "a_b.svs"], ["a-b", "a_b"]),
        (["a b.svs", "a-b.svs", "a+b.svs"], ["a-b-#", "a-b", "a-b-#"]),
        (["a b.svs", "a-b.svs", "a b.tif", "a-b.tif"], ["a-b-#", "a-b-#", "a-b-#", "a-b-#"]),
        (["a b/x.svs", "a-b/x.svs"], ["x-#", "x-#"]),
        (["HE.svs", "he.svs"], ["HE-#", "he-#"]),
        (["a-x.svs", "a/x.svs", "b/x.svs"], ["a-x", "x", "b-x"]),
    ],
)
def test_ids_are_unique_by_folder_where_names_repeat(paths: list[str], ids: list[str]) -> None:
    """``#``: eight digits of the path's SHA-256."""
    digests = [hashlib.sha256(path.encode()).hexdigest()[:8] for path in paths]
    expected = [slide_id.replace("#", digest) for slide_id, digest in zip(ids, digests, strict=True)]
    assert unique_slide_ids([PurePath(path) for path in paths]) == expected


# Few letters, so that ids collide: by case, by what an id cannot have, by accent, by folder, by suffix.
NAMES = st.text("aAä -.", min_size=1, max_size=4)
LABELS = st.builds(lambda folders, name, suffix: PurePath(*folders, name + suffix),
                   st.lists(NAMES, max_size=2), NAMES, st.sampled_from([".svs", ".tif"]))  # fmt: skip


@given(st.lists(LABELS, unique=True, max_size=8), st.lists(st.sampled_from(["a", "A-a", "a.svs"])), st.randoms())
def test_ids_are_unique_whatever_the_names_and_their_order(labels: list[PurePath], taken: list[str], random) -> None:
    ids = dict(zip(labels, unique_slide_ids(labels, taken), strict=True))
    assert all(re.fullmatch(NAME_PATTERN, slide_id) for slide_id in ids.values())
    folded = [slide_id.lower() for slide_id in ids.values()]
    assert len({*folded, *map(str.lower, taken)}) == len(folded) + len({*map(str.lower, taken)})
    random.shuffle(labels)
    assert dict(zip(labels, unique_slide_ids(labels, taken), strict=True)) == ids


def test_a_further_file_changes_no_id_that_is_its_files_name() -> None:
    before = [PurePath("a-b.svs"), PurePath("c.svs")]
    assert unique_slide_ids([*before, PurePath("a b.svs"), PurePath("C .svs")])[:2] == ["a-b", "c"]


def test_ids_that_a_manifest_gives_are_taken() -> None:
    named = [Candidate(Path(f"/d/{name}.svs"), 1, slide_id) for name, slide_id in (("x", "a"), ("case/a", ""))]
    assert derived_ids(named, None) == ["a", "a.svs"]
    assert derived_ids(named, Path("/d")) == ["a", "case-a"]
    assert derived_ids([named[1], Candidate(Path("/d/b/a.svs"), 1, left_out="copy")], Path("/d")) == ["a", "a"]


def known(path: str, slide_id: str, *, has_file: bool = True) -> KnownSlide:
    return KnownSlide(slide_id, f"patient of {slide_id}", Path(path), has_file)


@pytest.mark.parametrize(
    ("there", "found", "copies", "ids"),
    [
        # At the same path, whatever it is called now; a manifest's own id counts elsewhere.
        ([known("/d/a.svs", "a")], [("/d/x/../a.svs", "other")], False, ["a"]),
        ([known("/d/a.svs", "a")], [("/e/b.svs", "a")], False, ["a"]),
        # Moved, or copied: the same slide. Another file of the same name: another slide.
        ([known("/d/a.svs", "a", has_file=False)], [("/e/a.svs", "")], False, ["a"]),
        ([known("/d/a.svs", "a")], [("/e/a.svs", "")], True, ["a"]),
        ([known("/d/a.svs", "a")], [("/e/a.svs", "")], False, [""]),
        ([known("/d/1/a.svs", "a")], [("/d/1/a.svs", ""), ("/d/2/a.svs", "")], True, ["a", ""]),
        ([known("/d/1/a.svs", "1-a", has_file=False)], [("/e/1/a.svs", ""), ("/e/2/a.svs", "")], False, ["1-a", ""]),
    ],
)
def test_slides_that_a_run_has_keep_their_ids(
    there: list[KnownSlide], found: list[tuple[str, str]], copies: bool, ids: list[str]
) -> None:
    candidates = [Candidate(Path(path), 1, slide_id) for path, slide_id in found]
    named = with_known_ids(candidates, there, None, lambda _path, _other: copies)
    assert [each.slide_id for each in named] == ids
    assert [each.known_patient for each in named] == [name and f"patient of {name}" for name in ids]
