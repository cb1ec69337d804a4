"""Paths of a run directory."""

from __future__ import annotations

from pathlib import Path

from hypoxia_hpc.config import preset, render_config
from hypoxia_hpc.runs.directory import RunDir


def test_relative_paths_in_run_toml_are_relative_to_it(tmp_path: Path) -> None:
    changes = {"extract": {"weights": "mine.weights.h5", "weights_sha256": "0" * 64}, "site": {"weights": "../shared"}}
    (tmp_path / "run.toml").write_text(render_config(preset("hypoxia", changes)))
    config = RunDir(tmp_path).config()
    assert config.extract.weights == str(tmp_path / "mine.weights.h5")
    assert config.site.weights == str(tmp_path.parent / "shared")


def test_names_that_are_no_paths_stay(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(render_config(preset("hypoxia", {"extract": {"weights": "random"}})))
    config = RunDir(tmp_path).config()
    assert (config.extract.weights, config.site.weights) == ("random", None)
