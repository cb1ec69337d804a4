"""Stores damaged by hand: always found, never a crash, never a wrong pixel."""

import errno
import itertools
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive
import numpy as np
import pytest

from hypoxia_hpc.errors import MachineError, SlideError
from hypoxia_hpc.stores.codecs import CODECS
from hypoxia_hpc.stores.features import open_features, write_features
from hypoxia_hpc.stores.integrity import check_store, content_of, store_key
from hypoxia_hpc.stores.layout import document_bytes, tile_arrays
from hypoxia_hpc.stores.tiles import new_tile_store, open_tiles, read_pixels

N_TILES = 19
TILE_FILES = [
    f"{name}/{file}"
    for name, chunk in (("pixels", "c.0.0.0.0"), ("xy", "c.0.0"), ("background", "c.0"))
    for file in ("zarr.json", chunk)
]
FEATURE_FILES = ["features/zarr.json", "features/c.0.0", "xy/zarr.json", "xy/c.0.0"]
Harm = Callable[[Path], object]


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


def replace_by_link(path: Path) -> None:
    elsewhere = path.parents[2] / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


HARMS: dict[str, Harm] = {
    "first byte": lambda path: flip(path, 0),
    "middle byte": lambda path: flip(path, path.stat().st_size // 2),
    "last byte": lambda path: flip(path, -1),
    "one byte short": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "one byte long": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "deleted": lambda path: path.unlink(),
    "symbolic link": replace_by_link,
    "folder": replace_by_folder,
    "fifo": replace_by_fifo,
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size)),
    "deep nesting": lambda path: path.write_bytes(b"[" * 50_000),
    "sparse giant": lambda path: os.truncate(path, 2**40),
}


def pixels_of(seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (N_TILES, 8, 8, 3), dtype=np.uint8)


def write_tiles(store: Path, seed: int = 0, key: str = "k", **spec: str) -> Path:
    with new_tile_store(store, 8, **spec) as writer:
        for tile in pixels_of(seed):
            writer.new_tile()[:] = tile
        attributes = {"key": key, "spec": spec}
        writer.commit(np.arange(2 * N_TILES).reshape(-1, 2), np.ones(N_TILES, np.float32), attributes)
    return store


@pytest.fixture
def tile_store(tmp_path: Path) -> Path:
    return write_tiles(tmp_path / "tiles" / "a.zarr")


@pytest.fixture
def feature_store(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float16)
    write_features(tmp_path / "features" / "a.zarr", values, np.ones((300, 2), np.int64), {"key": "k"})
    return tmp_path / "features" / "a.zarr"


def assert_found(store: Path, read: Callable[[], object]) -> None:
    assert check_store(store)
    with pytest.raises(SlideError) as caught:
        read()
    assert caught.value.reason == "damaged-store"
    assert str(store) in caught.value.problem
    assert "run the stage that makes it again" in caught.value.remedy


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
@pytest.mark.parametrize("file", TILE_FILES)
def test_a_harmed_tile_store_is_found(tile_store: Path, file: str, harm: Harm) -> None:
    harm(tile_store / file)
    assert_found(tile_store, lambda: read_pixels(open_tiles(tile_store), 0, N_TILES))


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
@pytest.mark.parametrize("file", FEATURE_FILES)
def test_a_harmed_feature_store_is_found(feature_store: Path, file: str, harm: Harm) -> None:
    harm(feature_store / file)
    assert_found(feature_store, lambda: open_features(feature_store))


@pytest.mark.parametrize("harm", [harm for name, harm in HARMS.items() if "byte" not in name])
def test_a_harmed_group_has_no_key(tile_store: Path, harm: Harm) -> None:
    harm(tile_store / "zarr.json")
    assert store_key(tile_store) is None
    assert_found(tile_store, lambda: open_tiles(tile_store))


def test_every_flipped_byte_of_a_document_is_found(tile_store: Path) -> None:
    for name in ("pixels", "xy", "background"):
        path = tile_store / name / "zarr.json"
        sound = path.read_bytes()
        for position in range(len(sound)):
            flip(path, position)
            assert check_store(tile_store), f"{name}, byte {position}"
            path.write_bytes(sound)


def test_every_flipped_byte_of_the_group_leaves_the_pixels_right(tile_store: Path) -> None:
    path = tile_store / "zarr.json"
    sound = path.read_bytes()
    found = 0
    for position in range(len(sound)):
        flip(path, position)
        try:
            np.testing.assert_array_equal(read_pixels(open_tiles(tile_store), 0, 8), pixels_of(0)[:8])
        except SlideError:
            found += 1
        path.write_bytes(sound)
    assert found > len(sound) // 3


def test_every_flipped_byte_of_the_pixels_is_found(tile_store: Path) -> None:
    path = tile_store / "pixels" / "c.0.0.0.0"
    sound = path.read_bytes()
    for position in [*range(0, len(sound), 97), *range(len(sound) - 52, len(sound))]:
        flip(path, position)
        with pytest.raises(SlideError):
            read_pixels(open_tiles(tile_store), 0, N_TILES)
        path.write_bytes(sound)


@pytest.mark.parametrize("codec", CODECS)
def test_every_flipped_byte_of_packed_pixels_is_found(tmp_path: Path, codec: str) -> None:
    store = write_tiles(tmp_path / "a.zarr", codec=codec)
    path = store / "pixels" / "c.0.0.0.0"
    sound = path.read_bytes()
    for position in range(0, len(sound), len(sound) // 150):
        flip(path, position)
        with pytest.raises(SlideError):
            read_pixels(open_tiles(store), 0, N_TILES)
        assert check_store(store), position
        path.write_bytes(sound)


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
@pytest.mark.parametrize("codec", [name for name in CODECS if name != "none"])
def test_a_harmed_shard_of_packed_pixels_is_found(tmp_path: Path, codec: str, harm: Harm) -> None:
    store = write_tiles(tmp_path / "tiles" / "a.zarr", codec=codec)
    harm(store / "pixels" / "c.0.0.0.0")
    assert_found(store, lambda: read_pixels(open_tiles(store), 0, N_TILES))


@pytest.mark.parametrize("codec", [name for name in CODECS if name != "none"])
def test_every_truncated_shard_is_found(tmp_path: Path, codec: str) -> None:
    store = write_tiles(tmp_path / "a.zarr", codec=codec)
    path = store / "pixels" / "c.0.0.0.0"
    sound = path.read_bytes()
    for length in range(0, len(sound), len(sound) // 150):
        path.write_bytes(sound[:length])
        assert_found(store, lambda: open_tiles(store))


def set_spec(store: Path, **spec: Any) -> None:
    document = json.loads((store / "zarr.json").read_text())
    document["attributes"]["spec"] = spec
    (store / "zarr.json").write_text(json.dumps(document))


@pytest.mark.parametrize(("written", "told"), [*itertools.permutations(CODECS, 2)])
def test_another_codec_than_it_was_packed_with_is_found(tmp_path: Path, written: str, told: str) -> None:
    store, other = write_tiles(tmp_path / "a.zarr", codec=written), write_tiles(tmp_path / "b.zarr", codec=told)
    shutil.copy(other / "pixels" / "zarr.json", store / "pixels" / "zarr.json")
    assert_found(store, lambda: open_tiles(store))  # the attributes say otherwise
    set_spec(store, codec=told)
    assert_found(store, lambda: read_pixels(open_tiles(store), 0, N_TILES))


@pytest.mark.parametrize("codec", [name for name in CODECS if name != "none"])
def test_absurd_tiles_of_a_sound_document_make_no_large_array(tmp_path: Path, codec: str) -> None:
    store = write_tiles(tmp_path / "a.zarr", codec=codec)
    rule = tile_arrays({"spec": {"codec": codec}})["pixels"]
    document = document_bytes(rule, "uint8", (N_TILES, 20_000, 20_000, 3))
    (store / "pixels" / "zarr.json").write_bytes(document)
    assert "makes chunks of more than" in check_store(store)[0]
    assert_found(store, lambda: read_pixels(open_tiles(store), 0, 1))


@pytest.mark.parametrize("spec", [{"codec": "pickle"}, {"codec": None}, {"codec": ["none"]}, {"pixels": True}])
def test_a_spec_that_no_store_has_is_found(tile_store: Path, spec: Any) -> None:
    set_spec(tile_store, **spec)
    assert_found(tile_store, lambda: open_tiles(tile_store))


def test_pixels_have_to_be_there_if_and_only_if_the_spec_says_so(tmp_path: Path) -> None:
    with_pixels, without = write_tiles(tmp_path / "a.zarr"), write_tiles(tmp_path / "b.zarr", pixels="none")
    assert (check_store(with_pixels), check_store(without)) == ([], [])
    set_spec(with_pixels, pixels="none")
    assert check_store(with_pixels) == ["'pixels' does not belong here"]
    assert_found(with_pixels, lambda: open_tiles(with_pixels))
    set_spec(without)
    assert check_store(without) == ["pixels is missing"]
    assert_found(without, lambda: open_tiles(without))


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
@pytest.mark.parametrize("file", [file for file in TILE_FILES if not file.startswith("pixels")])
def test_a_harmed_store_without_pixels_is_found(tmp_path: Path, file: str, harm: Harm) -> None:
    store = write_tiles(tmp_path / "tiles" / "a.zarr", pixels="none")
    harm(store / file)
    assert_found(store, lambda: open_tiles(store))


def pickle_codec(document: Any) -> None:
    document["codecs"][0]["configuration"]["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})


def set_shape(shape: list[Any]) -> Callable[[Any], None]:
    return lambda document: document.update(shape=shape)


DOCUMENTS: dict[str, Callable[[Any], object]] = {
    "pickle codec": pickle_codec,
    "object codec": lambda document: document.update(codecs=[{"name": "vlen-utf8"}]),
    "no checksum": lambda document: document["codecs"][0]["configuration"]["codecs"].pop(),
    "unknown codec": lambda document: document["codecs"].append({"name": "../../evil"}),
    "index at the start": lambda document: document["codecs"][0]["configuration"].update(index_location="start"),
    "type of other size": lambda document: document.update(data_type="float32"),
    "type of same size": lambda document: document.update(data_type="int8"),
    "object type": lambda document: document.update(data_type="object"),
    "type no text": lambda document: document.update(data_type=["uint8"]),
    "absurd shape": set_shape([10**12, 8, 8, 3]),
    "unspeakable shape": set_shape([10**300, 8, 8, 3]),
    "absurd tiles": set_shape([1, 2**20, 2**20, 3]),
    "one tile more": set_shape([N_TILES + 1, 8, 8, 3]),
    "one tile less": set_shape([N_TILES - 1, 8, 8, 3]),
    "not square": set_shape([N_TILES, 4, 16, 3]),
    "four channels": set_shape([N_TILES, 8, 6, 4]),
    "no tiles": set_shape([0, 8, 8, 3]),
    "negative": set_shape([-1, 8, 8, 3]),
    "fractional": set_shape([19.0, 8, 8, 3]),
    "boolean": set_shape([True, 8, 8, 3]),
    "flat": set_shape([N_TILES * 192]),
    "no shape": lambda document: document.pop("shape"),
    "other chunks": lambda document: document["chunk_grid"]["configuration"].update(chunk_shape=[8, 8, 8, 3]),
    "other names": lambda document: document["chunk_key_encoding"]["configuration"].update(separator="/"),
    "other fill value": lambda document: document.update(fill_value=255),
    "extension": lambda document: document.update(storage_transformers=[{"name": "evil"}]),
    "a group": lambda document: document.update(node_type="group"),
    "version 2": lambda document: document.update(zarr_format=2),
    "NaN": lambda document: document["attributes"].update(a=float("nan")),
}


@pytest.mark.parametrize("change", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_we_would_not_write_is_found_before_zarr_sees_it(
    tile_store: Path, change: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tile_store / "pixels" / "zarr.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, sort_keys=True, indent=2) + "\n")
    monkeypatch.setattr("zarr.open_array", lambda *_, **__: pytest.fail("Zarr was asked"))
    assert_found(tile_store, lambda: open_tiles(tile_store))


def test_a_chunk_that_the_index_calls_missing_is_found(tile_store: Path) -> None:
    path = tile_store / "pixels" / "c.0.0.0.0"
    data = path.read_bytes()
    index = struct.pack("<QQ", 2**64 - 1, 2**64 - 1) + data[-36:-4]
    path.write_bytes(data[:-52] + index + struct.pack("<I", naive.crc32c(index)))
    assert_found(tile_store, lambda: open_tiles(tile_store))


def test_arrays_of_different_length_are_found(tile_store: Path, tmp_path: Path) -> None:
    with new_tile_store(tmp_path / "b.zarr", 8) as writer:
        for _ in range(4):
            writer.new_tile()[:] = 0
        writer.commit(np.zeros((4, 2), np.int64), np.ones(4, np.float32), {"key": "k"})
    shutil.rmtree(tile_store / "xy")
    shutil.copytree(tmp_path / "b.zarr" / "xy", tile_store / "xy")
    assert check_store(tile_store) == ["xy: shape [4, 2] should be [19, 2]"]
    assert_found(tile_store, lambda: open_tiles(tile_store))


@pytest.mark.parametrize("name", ["pixels", "xy", "background"])
def test_a_missing_array_or_an_entry_too_many_is_found(tile_store: Path, name: str) -> None:
    (tile_store / name / "c.1").write_bytes(b"")
    assert check_store(tile_store) == [f"{name}: 'c.1' does not belong here"]
    shutil.rmtree(tile_store / name)
    assert_found(tile_store, lambda: open_tiles(tile_store))
    (tile_store / name).symlink_to(tile_store.parent)
    assert_found(tile_store, lambda: open_tiles(tile_store))


def test_a_link_to_a_store_is_no_store(tile_store: Path, tmp_path: Path) -> None:
    link = tmp_path / "b.zarr"
    link.symlink_to(tile_store)
    assert store_key(link) is None
    assert_found(link, lambda: open_tiles(link))


@pytest.mark.parametrize("attributes", [{}, {"key": 7}, {"key": "k"}, []])
def test_attributes_without_key_or_content_are_found(tile_store: Path, attributes: Any) -> None:
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (tile_store / "zarr.json").write_text(json.dumps(document))
    assert store_key(tile_store) == ("k" if attributes == {"key": "k"} else None)
    assert_found(tile_store, lambda: open_tiles(tile_store))


def test_no_store_at_all(tmp_path: Path) -> None:
    assert store_key(tmp_path / "a.zarr") is None
    assert_found(tmp_path / "a.zarr", lambda: open_tiles(tmp_path / "a.zarr"))
    (tmp_path / "a.zarr").write_text("a file")
    assert store_key(tmp_path / "a.zarr") is None
    assert_found(tmp_path / "a.zarr", lambda: open_features(tmp_path / "a.zarr"))


def test_one_kind_of_store_is_not_the_other(tile_store: Path, feature_store: Path) -> None:
    with pytest.raises(SlideError):
        open_tiles(feature_store)
    with pytest.raises(SlideError):
        open_features(tile_store)


def test_content_of_refuses_a_link(tile_store: Path) -> None:
    replace_by_link(tile_store / "xy" / "c.0.0")
    with pytest.raises(ValueError, match="symbolic link"):
        content_of(tile_store)


LATER: dict[str, Harm] = {
    "flipped": lambda store: flip(store / "pixels" / "c.0.0.0.0", 5000 % (8 * 192)),
    "shortened": lambda store: os.truncate(store / "pixels" / "c.0.0.0.0", 100),
    "shard deleted": lambda store: (store / "pixels" / "c.0.0.0.0").unlink(),
    "store deleted": shutil.rmtree,
    "replaced": lambda store: write_tiles(store, seed=1, key="another"),
}


@pytest.mark.parametrize("harm", LATER.values(), ids=LATER)
def test_harm_after_opening_is_found_by_the_next_reading(tile_store: Path, harm: Harm) -> None:
    tiles = open_tiles(tile_store)
    np.testing.assert_array_equal(read_pixels(tiles, 0, 8), pixels_of(0)[:8])
    harm(tile_store)
    with pytest.raises(SlideError) as caught:
        read_pixels(tiles, 0, 8)
    assert caught.value.reason == "damaged-store"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_what_cannot_be_read_here_is_not_called_damaged(
    tile_store: Path, feature_store: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Who hears of damage deletes the store."""

    def refuse(*_: object, **__: object) -> bytes:
        raise OSError(number, os.strerror(number), "file")

    for step in ("read_plain", "sha256_of"):
        with monkeypatch.context() as failing:
            failing.setattr(f"hypoxia_hpc.stores.integrity.{step}", refuse)
            for store in (tile_store, feature_store):
                with pytest.raises(MachineError, match=os.strerror(number)):
                    check_store(store)
