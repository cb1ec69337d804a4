"""A signature of one run on another: what the phenotypes of both were made by is compared, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from survival_runs import cohort, done, make_run

from hypoxia_hpc.cli.app import app
from hypoxia_hpc.cli.exits import tell_end
from hypoxia_hpc.config import canonical_json
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.networks.heads.saved import RECORD_FILE, ModelRecord
from hypoxia_hpc.records import Receipt
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.keys import extract_spec, tile_spec
from hypoxia_hpc.runs.made_by import FROZEN_FILE, made_by, write_frozen_keys
from hypoxia_hpc.runs.prognosis import is_of_present, is_survival_current, read_survival
from hypoxia_hpc.runs.receipts import COHORT, write_receipt

NAME = "deep_kmeans"
KEYS = {NAME: "a" * 64}


def write_model(run: RunDir, key: str = KEYS[NAME]) -> None:
    """What says of a clustering its key, and which features it was trained on."""
    config, empty = run.config(), dict[str, Any]()
    record = ModelRecord(
        head=NAME, key=key, settings=empty, seed=0, feature_length=2, tile_spec=tile_spec(config.tile),
        extract_spec=extract_spec(config.extract, config.tile.tile_px, "digest"), sets={}, history={}, compute={},
        software={},
    )  # fmt: skip
    run.model(NAME).mkdir(parents=True)
    (run.model(NAME) / RECORD_FILE).write_text(canonical_json(record.model_dump(exclude={"outcome"})))


def outside(root: Path, keys: dict[str, str] | None = None) -> RunDir:
    """A cohort whose phenotypes clusterings of these keys made."""
    run = make_run(root, *cohort(60, 3))
    write_frozen_keys(run.phenotypes, run.phenotypes / "patients.csv", KEYS if keys is None else keys)
    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    run = make_run(tmp_path_factory.mktemp("model") / "run", *cohort(120, 1))
    write_model(run)
    done(run)
    return run


def test_the_same_clustering_serves_and_another_is_refused_with_both_keys(model: RunDir, tmp_path: Path) -> None:
    run = outside(tmp_path / "run")
    assert done(run, model)["made_by"] == {"head": NAME, "models": KEYS} == (read_survival(model) or {})["made_by"]
    record = read_survival(run)
    assert record is not None and is_of_present(run, run.config(), record)
    before = (run.survival / "survival.json").read_bytes()
    write_frozen_keys(run.phenotypes, run.phenotypes / "patients.csv", {NAME: "b" * 64})
    assert not is_of_present(run, run.config(), record)
    with pytest.raises(InputError, match=r"what .* says of its patients is of another one") as error:
        done(run, model)
    assert error.value.offending == (f"model {NAME}: key {'b' * 12} here, key {'a' * 12} where the signature was made",)
    assert f"hypoxia-hpc predict {run.word} --model {model.word}" in error.value.remedy
    assert (run.survival / "survival.json").read_bytes() == before


def test_a_frozen_result_of_a_predicted_run_is_kept_and_counts_as_done(model: RunDir, tmp_path: Path) -> None:
    run = outside(tmp_path / "run")
    done(run, model)
    assert not is_survival_current(run, run.config()), "of a run that may have a signature of its own"
    write_receipt(run.receipts("predict"), Receipt(COHORT, "done", "key", of="cohort"))
    assert is_survival_current(run, run.config())
    before = (run.survival / "survival.json").read_bytes()
    with pytest.raises(InputError, match="would take its place") as error:
        done(run)
    assert f"hypoxia-hpc survival {run.word} --model MODEL_RUN" in error.value.remedy
    assert (run.survival / "survival.json").read_bytes() == before


def test_another_tile_spec_is_refused_by_the_command_with_both_values(
    model: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = outside(tmp_path / "run")
    tables = '[tile]\ntile_px = 224\nmpp = 1.0\n[extract]\nbackbone = "vgg16"\n'
    run.config_file.write_text(tables + run.config_file.read_text())
    with pytest.raises(InputError) as error:
        app(["survival", str(run.root), "--model", str(model.root)], standalone_mode=False)
    assert tell_end(error.value) == 2
    said = " ".join(capsys.readouterr().err.split())
    for sentence in (
        "[tile] tile_px: 224 here, 299 where deep_kmeans was trained",
        "[tile] mpp: 1.0 here, 0.5 where",
        '[extract] backbone: "vgg16" here, "inception_v3" where',
        f"remedy: make [tile] and [extract] of {run.config_file}",
    ):
        assert sentence in said
    assert not run.survival.exists()


def test_clusters_of_a_run_of_its_own_are_other_clusters(model: RunDir, tmp_path: Path) -> None:
    """They have the same names."""
    run = make_run(tmp_path / "run", *cohort(60, 4))
    with pytest.raises(InputError) as error:
        done(run, model)
    assert "none that is known here" in error.value.offending[0]
    write_model(run, "c" * 64)
    with pytest.raises(InputError) as error:
        done(run, model)
    assert "has models of its own, so make another run" in error.value.remedy


def test_frozen_keys_are_of_the_table_beside_them(tmp_path: Path) -> None:
    run = outside(tmp_path / "run")
    assert made_by(run, run.config(), "phenotypes").keys == KEYS
    table = pd.read_csv(run.phenotypes / "patients.csv")
    table.iloc[1:].to_csv(run.phenotypes / "patients.csv", index=False)
    assert made_by(run, run.config(), "phenotypes").keys == {}
    for damaged in ("", "[]", '{"patients": 1, "models": []}'):
        (run.phenotypes / FROZEN_FILE).write_text(damaged)
        assert made_by(run, run.config(), "phenotypes").keys == {}
