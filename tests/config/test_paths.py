"""Paths in run.toml: each entry that names a file or folder is resolved in the same way, and none enters a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypoxia_hpc.config import RunConfig, Table, TileTable, preset, render_config
from hypoxia_hpc.config.paths import with_paths
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_key, extract_spec, slide_tile_key, train_key

SHA256 = "ab" * 32
# Every entry that is a path, and what has to stand beside it.
ENTRIES: dict[str, dict[str, object]] = {
    "tile.regions": {},
    "extract.weights": {"weights_sha256": SHA256},
    "train.finetune.weights": {"weights_sha256": SHA256},
    "train.contrastive_network.weights": {"weights_sha256": SHA256},
    "train.split_file": {},
    "tile.stain.reference": {"method": "macenko"},
    "site.weights": {},
    "site.scratch": {},
    "site.slurm.image": {},
}


def with_entry(name: str, value: str) -> RunConfig:
    """The defaults with this entry."""
    *tables, last = name.split(".")
    changes: dict[str, object] = {last: value, **ENTRIES[name]}
    for table in reversed(tables):
        changes = {table: changes}
    return preset("hypoxia", changes)


def entry(config: Table, name: str) -> object:
    found: object = config
    for part in name.split("."):
        found = getattr(found, part)
    return found


def paths_of(table: Table, above: str = "") -> set[str]:
    """Every entry that `with_paths` changes, found by trying."""
    found: set[str] = set()
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, Table):
            found |= paths_of(value, f"{above}{name}.")
        elif getattr(with_paths(table.model_copy(update={name: "here"}), Path("/run")), name) == "/run/here":
            found.add(f"{above}{name}")
    return found


def test_these_entries_are_the_paths() -> None:
    assert paths_of(preset("hypoxia")) == set(ENTRIES)


def test_up_stays_behind_a_link_where_it_leads_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "far" / "run").mkdir(parents=True)
    (tmp_path / "run").symlink_to(tmp_path / "far" / "run")
    found = with_paths(TileTable(regions="../geo"), tmp_path / "run").regions
    assert found == f"{tmp_path}/run/../geo"  # and not tmp_path/geo


@pytest.mark.parametrize("name", ENTRIES)
def test_home_and_the_folder_of_run_toml_are_filled_in(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/of/mine")
    monkeypatch.chdir(tmp_path)
    run = RunDir(Path("run"))
    run.root.mkdir()
    for written, meant in (
        ("~/a b", "/home/of/mine/a b"),
        ("here/b", f"{tmp_path}/run/here/b"),
        ("../c", f"{tmp_path}/c"),
        ("/d", "/d"),
        ("$DISK/e", "$DISK/e" if name == "site.scratch" else f"{tmp_path}/run/$DISK/e"),
    ):
        run.config_file.write_text(render_config(with_entry(name, written)))
        assert entry(run.config(), name) == meant


@pytest.mark.parametrize("name", ENTRIES)
def test_the_home_of_no_user_is_an_input_error(name: str) -> None:
    with pytest.raises(InputError, match=r"'~nobody-of-this-name/a'.* is no user's home"):
        with_paths(with_entry(name, "~nobody-of-this-name/a"), Path("/run"))


@pytest.mark.parametrize("word", ["imagenet", "random"])
def test_words_for_weights_are_no_paths(word: str) -> None:
    config = preset("hypoxia", {"extract": {"weights": word}, "train": {"finetune": {"weights": word}}})
    found = with_paths(config, Path("/run"))
    assert (found.extract.weights, entry(found, "train.finetune.weights")) == (word, word)


@pytest.mark.parametrize("name", [name for name in ENTRIES if name != "tile.regions"])
def test_no_path_enters_a_key(name: str) -> None:
    assert keys(with_entry(name, "here")) == keys(with_entry(name, "/there"))
    assert keys(with_paths(with_entry(name, "here"), Path("/run"))) == keys(with_entry(name, "/there"))


def test_a_folder_of_regions_enters_a_key_by_the_content_of_its_files(tmp_path: Path) -> None:
    for folder, text in (("a", "{}"), ("b", "{}"), ("c", "{ }")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "S1.geojson").write_text(text)
    a, b, c = (tile_key(TileTable(regions=str(tmp_path / folder))) for folder in "abc")
    assert a == b != c


def keys(config: RunConfig) -> tuple[str, ...]:
    """Of tiles, features and a model that is fine-tuned."""
    tiles = tile_key(config.tile)
    inputs = [("train", "P1", "S1", 1, tiles)]
    return (
        tiles,
        extract_key(extract_spec(config.extract, config.tile.tile_px, "digest"), tiles),
        train_key(config.train, "finetune", inputs),
    )


def tile_key(table: TileTable) -> str:
    return slide_tile_key(table, Slide("S1", Path("/s1.svs"), "P1", 1), "fingerprint")
