"""survival from a run's tables to survival/: what is planted is found and holds elsewhere, what cannot be used is said,
and nothing that is fitted sees patients of test."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from survival_runs import SETTINGS, cohort, done, make_run

from hypoxia_hpc.cli.text.survival import survival_text
from hypoxia_hpc.errors import InputError, NotReadyError
from hypoxia_hpc.monitoring.verify import verify
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.records import Json, Receipt
from hypoxia_hpc.reports.survival import survival_parts
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.runs.prognosis import is_survival_current, read_inputs, survival_key
from hypoxia_hpc.runs.receipts import COHORT, write_receipt
from hypoxia_hpc.stages.survival import survival


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDir, Json]:
    extra = 'adjust = ["stage", "age"]\ntreatment = "arm"\nsubgroups = ["stage"]\n'
    run = make_run(tmp_path_factory.mktemp("planted") / "run", *cohort(400, 1), settings=SETTINGS + extra)
    return run, done(run)


def test_what_is_planted_is_found_and_what_is_nearly_empty_is_named(planted: tuple[RunDir, Json]) -> None:
    run, content = planted
    found = content["endpoints"]["time"]
    assert found["candidates"]["reference"] == "cluster_2"
    by_name = {row["name"]: row for row in found["hazards"]}
    for name, truth in (("cluster_0", 9.0), ("cluster_1", -9.0)):
        one = by_name[name]
        assert abs(one["coefficient"] - truth) < 1.96 * one["error"]
    alone = {row["name"]: row for row in found["screen"]}
    assert "its spread comes from about" in alone["cluster_4"]["why"]
    assert found["constancy"]["together"]["p"] > 0.001
    test = found["sets"]["test"]
    assert test["log_rank"]["p"] < 0.01 and test["ratio"]["low"] > 1 and test["figures"]["harrell"]["value"] > 0.6
    assert 0 < test["figures"]["integrated_brier"]["value"] < 0.25
    harrell = found["optimism"]["figures"]["harrell"]
    assert harrell["corrected"] < harrell["apparent"] == found["sets"]["discovery"]["figures"]["harrell"]["value"]
    assert found["cross_fitted"]["log_rank"]["p"] < 0.01
    half = found["sets"]["discovery"]["groups"]
    assert abs(half["low"]["patients"] - half["high"]["patients"]) <= 1
    assert is_survival_current(run, run.config())


def test_the_risk_beside_other_columns(planted: tuple[RunDir, Json]) -> None:
    found = planted[1]["endpoints"]["time"]["sets"]["discovery"]
    assert found["adjusted"]["rows"][0]["name"] == "risk" and found["adjusted"]["rows"][0]["p"] < 1e-6
    assert {row["name"].partition(":")[0] for row in found["adjusted"]["rows"][1:]} == {"stage", "age"}
    assert found["interaction"]["p"] > 0.001
    assert {one["group"] for one in found["subgroups"]} == {"I", "II", "III"}
    assert all(one["per_spread"]["low"] > 1 for one in found["subgroups"])


def test_what_is_printed(planted: tuple[RunDir, Json]) -> None:
    said = survival_text(planted[1])
    assert "left out of the signature, its spread comes from about 2 of 280 patients; 5 are needed: cluster_4" in said
    assert "discovery, uncorrected  280" in said and "signature: cluster_0, cluster_1" in said
    assert "of 20 resamples); groups by signatures of other folds: log-rank p" in said


def test_tables_for_other_programs(planted: tuple[RunDir, Json]) -> None:
    run, content = planted
    hazards, curves, risks = (pd.read_csv(run.survival / f"{name}.csv") for name in ("hazards", "curves", "patients"))
    assert set(hazards["model"]) == {"alone", "together"} and set(curves["group"]) == {"low", "high"}
    assert len(risks) == 400 and set(risks["set"]) == {"discovery", "test"}
    assert json.loads((run.survival / "survival.json").read_text()) == content
    assert not [one for one in verify(run) if one.path == "survival" and one.problems]


def test_again_it_is_not_done_twice_and_a_changed_time_is_noticed(planted: tuple[RunDir, Json], tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", *cohort(60, 2), settings='of = "columns"\ncolumns = ["age"]\nbootstrap = 20\n')
    first = survival(run, progress=NoProgress(), stop=threading.Event())
    assert first.fresh and not survival(run, progress=NoProgress(), stop=threading.Event()).fresh
    table = pd.read_csv(run.patients_file)
    table.loc[3, "time"] += 1
    table.to_csv(run.patients_file, index=False)
    assert not is_survival_current(run, run.config())
    assert survival(run, progress=NoProgress(), stop=threading.Event()).fresh


def test_every_entry_changes_the_key(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", *cohort(20, 12), settings='of = "columns"\ncolumns = ["age"]\n')
    config = run.config()
    others: dict[str, Any] = {
        "of": "phenotypes",
        "time_unit": "days",
        "composition": "log-ratio",
        "ties": "breslow",
        "horizons": (12.0,),
    }
    inputs, found = read_inputs(run, config, "columns"), set()
    for name, value in config.survival:
        plain = "stage" if value is None else type(value)(21) if isinstance(value, int | float) else ("stage",)
        other = others.get(name, plain)
        table = config.survival.model_copy(update={name: other})
        found.add(survival_key(config.model_copy(update={"survival": table}), inputs))
    assert len(found - {survival_key(config, inputs)}) == len(type(config.survival).model_fields)


def test_nothing_that_is_fitted_sees_patients_of_test(planted: tuple[RunDir, Json], tmp_path: Path) -> None:
    """Their times, events and shares are dealt anew among them."""
    run, content = planted
    patients, shares = cohort(400, 1)
    sets = pd.read_csv(run.survival / "patients.csv").set_index("patient_id")["set"]
    tested = (patients["patient_id"].map(sets) == "test").to_numpy().nonzero()[0]
    order = np.random.default_rng(0).permutation(tested)
    patients.loc[tested, ["time", "event"]] = patients.loc[order, ["time", "event"]].to_numpy()
    shares.iloc[tested, 2:] = shares.iloc[order[::-1], 2:].to_numpy()
    other = done(make_run(tmp_path / "run", patients, shares))["endpoints"]["time"]
    for name in ("candidates", "screen", "hazards", "signature", "watch", "optimism", "cross_fitted"):
        assert other[name] == content["endpoints"]["time"][name]
    assert other["sets"]["test"]["log_rank"] != content["endpoints"]["time"]["sets"]["test"]["log_rank"]


def test_a_frozen_signature_on_another_cohort(planted: tuple[RunDir, Json], tmp_path: Path) -> None:
    run, content = planted
    outside = make_run(tmp_path / "run", *cohort(200, 3))
    found = done(outside, run)["endpoints"]["time"]
    assert found["signature"] == content["endpoints"]["time"]["signature"] and list(found["sets"]) == ["external"]
    assert found["sets"]["external"]["patients"] == 200 and found["sets"]["external"]["log_rank"]["p"] < 0.01
    assert "optimism" not in found and "hazards" not in found
    with pytest.raises(NotReadyError, match="is not there"):
        done(run, outside_without(tmp_path))


def outside_without(tmp_path: Path) -> RunDir:
    return make_run(tmp_path / "without", *cohort(40, 4))


def test_nothing_that_is_fitted_sees_outside_patients(planted: tuple[RunDir, Json], tmp_path: Path) -> None:
    """Their times, events and shares are dealt anew among them: columns and the cluster that is left out, signature,
    cut and horizons have the same bytes, and in the run that they are of no file has another one."""
    run = planted[0]
    before = {file.name: file.read_bytes() for file in run.survival.iterdir()}
    patients, shares = cohort(60, 21)
    order = np.random.default_rng(0).permutation(60)
    first = done(make_run(tmp_path / "first", patients, shares), run)
    patients[["time", "event"]] = patients.loc[order, ["time", "event"]].to_numpy()
    shares.iloc[:, 2:] = shares.iloc[order[::-1], 2:].to_numpy()
    second = done(make_run(tmp_path / "second", patients, shares), run)
    made = [
        json.dumps([one["endpoints"]["time"][name] for name in ("candidates", "signature", "watch", "spread", "why")])
        for one in (first, second)
    ]
    assert made[0] == made[1] and made[0].count("cut") == 1
    assert first["endpoints"]["time"]["sets"] != second["endpoints"]["time"]["sets"]
    assert {file.name: file.read_bytes() for file in run.survival.iterdir()} == before


def test_other_clusters_are_refused(planted: tuple[RunDir, Json], tmp_path: Path) -> None:
    patients, shares = cohort(60, 5)
    outside = make_run(tmp_path / "run", patients, shares.rename(columns={"cluster_3": "cluster_9"}))
    with pytest.raises(InputError, match="not those that the signature was made of") as error:
        done(outside, planted[0])
    assert error.value.offending == ("missing: cluster_3",)


def test_no_signature_is_said(tmp_path: Path) -> None:
    patients, shares = cohort(120, 6, hazards=(0, 0))
    found = done(make_run(tmp_path / "run", patients, shares, SETTINGS + "screen_p = 1e-6\n"))["endpoints"]["time"]
    assert found["signature"] is None and found["why"] == "no column passes the screen"
    assert found["sets"]["test"].keys() == {"patients", "events", "median_follow_up"}
    patients["event"] = 0
    found = done(make_run(tmp_path / "censored", patients, shares))["endpoints"]["time"]
    assert found["why"] == "no patient had the event"


def test_survival_by_what_a_model_predicts(tmp_path: Path) -> None:
    patients, _ = cohort(150, 7)
    run = make_run(tmp_path / "run", patients, None, 'of = "predictions"\nbootstrap = 20\n')
    run.predictions.mkdir()
    said = pd.DataFrame({"model": "tanh", "fold": 0, "set": "train", "id": patients["patient_id"], "label": 0})
    said["probability"] = np.exp(-patients["time"] / 20) + np.random.default_rng(0).normal(0, 0.3, 150)
    said.assign(n_tiles=9).to_csv(run.predictions / "patients.csv", index=False)
    found = done(run)["endpoints"]["time"]
    assert found["signature"]["columns"] == ["probability"] and found["hazards"][0]["coefficient"] > 0
    outside = make_run(tmp_path / "outside", patients, None, 'of = "predictions"\n')
    outside.config_file.write_text(outside.config_file.read_text().replace("[train]", "[train]\nfolds = 3"))
    with pytest.raises(NotReadyError, match="does not exist") as error:
        done(outside, run)
    assert error.value.remedy == f"hypoxia-hpc predict {outside.word} --model {run.word}"
    outside.predictions.mkdir()
    said.assign(n_tiles=9, set="external").to_csv(outside.predictions / "patients.csv", index=False)
    write_receipt(outside.receipts("predict"), Receipt(COHORT, "done", "key", of="cohort"))
    assert done(outside, run)["endpoints"]["time"]["sets"]["external"]["patients"] == 150, "of all folds together"


def test_columns_other_than_those_of_the_outcome_are_said(tmp_path: Path) -> None:
    said: list[str] = []

    class Noting(NoProgress):
        def note(self, text: str) -> None:
            said.append(text)

    patients = cohort(40, 10)[0].assign(months=7.0, died=1)
    run = of_columns(tmp_path / "run", patients)
    outcome = '[outcome]\nkind = "survival"\ntime = "months"\nevent = "died"\n'
    run.config_file.write_text(outcome + run.config_file.read_text())
    found = survival(run, progress=Noting(), stop=threading.Event()).content
    assert said == [] and survival_text(found).startswith("months (months; died says whether the event came)")
    run.config_file.write_text(run.config_file.read_text() + 'times = ["time"]\nevents = ["event"]\n')
    survival(run, progress=Noting(), stop=threading.Event())
    assert len(said) == 1 and "[survival] goes by time and event, and [outcome], which" in said[0]


@pytest.mark.parametrize("settings", ['of = "phenotypes"\n', 'of = "predictions"\n'])
def test_what_is_not_there_yet_is_named(tmp_path: Path, settings: str) -> None:
    run = make_run(tmp_path / "run", cohort(40, 8)[0], None, settings)
    with pytest.raises(NotReadyError, match=r"patients\.csv does not exist") as error:
        done(run)
    assert f"hypoxia-hpc {'phenotypes' if 'pheno' in settings else 'evaluate'} {run.word}" == error.value.remedy


def test_shares_that_are_none(tmp_path: Path) -> None:
    patients, shares = cohort(40, 9)
    with pytest.raises(NotReadyError, match="sum to 1"):
        done(make_run(tmp_path / "run", patients, shares.assign(cluster_1=0.9)))
    with pytest.raises(NotReadyError, match="is damaged"):
        done(make_run(tmp_path / "run2", patients, shares.assign(cluster_1="many")))


def test_a_stage_that_is_not_asked_for_says_how(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not say what risks are made of"):
        done(make_run(tmp_path / "run", cohort(40, 10)[0], None, ""))
    with pytest.raises(InputError, match="lacks columns") as error:
        done(make_run(tmp_path / "run2", *cohort(40, 10), settings='of = "columns"\ncolumns = ["grade"]\n'))
    assert error.value.offending == ("grade",) and "age" in str(error.value)


def test_patients_without_slides_or_follow_up_are_named(tmp_path: Path) -> None:
    patients, shares = cohort(100, 11)
    table: Any = patients.astype(object)
    table.loc[2, "time"], table.loc[4, "event"], table.loc[6, "time"] = "", "", 0
    found = done(make_run(tmp_path / "run", table, shares.drop(index=8)))["endpoints"]["time"]["left_out"]
    assert found == {
        "no time": ["P002"],
        "no event": ["P004"],
        "time of 0: not watched at all": ["P006"],
        "no value of a column": ["P008"],
    }


def of_columns(root: Path, patients: pd.DataFrame, settings: str = "") -> RunDir:
    return make_run(root, patients, None, f'of = "columns"\ncolumns = ["arm"]\nbootstrap = 20\n{settings}')


def grouped_cohort(share: float, n: int = 120) -> pd.DataFrame:
    """Patients of whom ``share`` have the arm that dies earlier."""
    generator = np.random.default_rng(3)
    is_high = np.arange(n) < share * n
    patients, _ = cohort(n, 13)
    dies = generator.exponential(np.where(is_high, 5, 40))
    return patients.assign(arm=np.where(is_high, "none", "drug"), time=np.round(dies + 0.1, 2), event=1)


def test_a_group_that_is_empty_is_said(tmp_path: Path) -> None:
    """Most patients have the highest risk there is, so that the median is it: no one is above."""
    run = of_columns(tmp_path / "run", grouped_cohort(0.8))
    content = done(run)
    found = content["endpoints"]["time"]
    discovery = found["sets"]["discovery"]
    assert discovery["groups"]["high"]["patients"] == 0
    assert "no patient is in the group with higher risk" in discovery["one_group"]
    assert f"of {discovery['patients']} have the same risk" in discovery["one_group"]
    assert discovery["one_group"] in found["notes"] and f"note: {discovery['one_group']}" in survival_text(content)
    (part,) = survival_parts(content)
    assert any("a smaller [survival] cut may part them" in sentence for sentence in part.sentences)
    assert [label for label, _ in part.curves[0][0].legend] == ["lower risk"]
    smaller = done(of_columns(tmp_path / "other", grouped_cohort(0.8), "cut = 0.1\n"))["endpoints"]["time"]
    assert "one_group" not in smaller["sets"]["discovery"] and smaller["sets"]["discovery"]["log_rank"]["p"] < 0.01


def test_patients_outside_who_are_all_on_one_side_are_said(tmp_path: Path) -> None:
    run = of_columns(tmp_path / "run", grouped_cohort(0.4))
    done(run)
    for share, side in ((1.0, "all risks are above the cut"), (0.0, "all risks are at or below the cut")):
        found = done(of_columns(tmp_path / f"{share}", grouped_cohort(share)), run)["endpoints"]["time"]
        assert side in found["sets"]["external"]["one_group"]


def test_one_event_and_none(tmp_path: Path) -> None:
    """Nothing can be fitted, and nothing is lost: curves and counts are there, and why there is no signature."""
    patients, shares = cohort(60, 14)
    patients["event"] = 0
    none = done(make_run(tmp_path / "none", patients, shares))["endpoints"]["time"]
    assert (none["signature"], none["why"]) == (None, "no patient had the event")
    assert none["screen"][0]["why"].endswith("no patient had the event")
    patients["event"] = [1, *[0] * 59]
    run = make_run(tmp_path / "one", patients, shares)
    one = done(run)["endpoints"]["time"]
    assert one["signature"] is None and one["why"]
    assert sum(each["patients"] for each in one["sets"].values()) == 60
    outside = done(make_run(tmp_path / "outside", *cohort(40, 15)), run)["endpoints"]["time"]
    assert outside["signature"] is None and outside["why"] == one["why"]


def test_two_endpoints_have_a_signature_each_and_are_frozen_in_their_order(tmp_path: Path) -> None:
    """Disease-free survival goes by the other cluster, and patients without its time have overall survival."""
    settings = 'times = ["time", "dfs"]\nevents = ["event", "relapse"]\n'

    def two(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        patients, shares = cohort(n, seed, hazards=(9.0, 0.0))
        free = 20 * np.random.default_rng(seed).exponential(np.exp(-9.0 * shares["cluster_1"]))
        table: Any = patients.assign(dfs=np.round(free + 0.1, 2), relapse=1).astype({"dfs": object})
        table.loc[:4, "dfs"] = ""
        return table, shares

    run = make_run(tmp_path / "run", *two(200, 16), SETTINGS + settings)
    content = done(run)
    overall, free = content["endpoints"].values()
    assert list(content["endpoints"]) == ["time", "dfs"]
    assert "cluster_0" in overall["signature"]["columns"] and "cluster_1" in free["signature"]["columns"]
    assert overall["signature"] != free["signature"]
    assert [sum(each["patients"] for each in one["sets"].values()) for one in (overall, free)] == [200, 195]
    assert len(free["left_out"]["no dfs"]) == 5
    assert [part.endpoint for part in survival_parts(content)] == ["time", "dfs"]
    outside = done(make_run(tmp_path / "outside", *two(120, 17), SETTINGS + settings), run)["endpoints"]
    for name, found in outside.items():
        assert found["signature"] == content["endpoints"][name]["signature"]
        assert found["sets"]["external"]["log_rank"]["p"] < 0.05
    renamed = two(120, 17)[0].rename(columns={"time": "os", "event": "died", "dfs": "pfs"})
    settings = 'times = ["os", "pfs"]\nevents = ["died", "relapse"]\n'
    by_order = done(make_run(tmp_path / "renamed", renamed, two(120, 17)[1], SETTINGS + settings), run)["endpoints"]
    assert [by_order[name]["signature"] for name in ("os", "pfs")] == [overall["signature"], free["signature"]]
    settings = 'times = ["time", "dfs"]\nevents = ["event", "relapse"]\n'
    with pytest.raises(InputError, match="times has 2 endpoints, and the signatures are of 1"):
        single = make_run(tmp_path / "single", *cohort(120, 18))
        done(single)
        done(make_run(tmp_path / "outside", *two(120, 17), SETTINGS + settings), single)


@pytest.mark.long
def test_where_nothing_is_planted_p_in_an_outside_cohort_is_uniform(tmp_path: Path) -> None:
    """60 seeds, the screen off: no optimism leaks from discovery into the other cohort."""
    from scipy.stats import kstest

    found = []
    for seed in range(60):
        inner = make_run(
            tmp_path / f"{seed}", *cohort(120, 100 + seed, hazards=(0, 0)), settings=SETTINGS + "screen_p = 1.0\n"
        )
        done(inner)
        outside = make_run(tmp_path / f"{seed}-outside", *cohort(120, 900 + seed, hazards=(0, 0)))
        found.append(done(outside, inner)["endpoints"]["time"]["sets"]["external"]["log_rank"]["p"])
    assert kstest(found, "uniform").pvalue > 0.01
