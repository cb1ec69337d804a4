"""A search trains each point of its grid once."""

from __future__ import annotations

import threading
from pathlib import Path

from feature_runs import make_run

from hypoxia_hpc.models.search import distinct
from hypoxia_hpc.networks.heads.saved import read_record
from hypoxia_hpc.progress import NoProgress
from hypoxia_hpc.stages.train import train


def test_the_first_of_equal_points_stays_in_its_place() -> None:
    points = [{"c": 0.2}, {"c": 0.1}, {"c": 0.2}, {"c": 0.3}, {"c": 0.1}]
    assert distinct(points) == [{"c": 0.2}, {"c": 0.1}, {"c": 0.3}]
    assert distinct([{"units": (8, 4)}, {"units": (4, 8)}]) == [{"units": (8, 4)}, {"units": (4, 8)}]


def test_a_value_that_is_given_twice_is_tried_once(tmp_path: Path) -> None:
    table = {"heads": ["logistic"], "clusterings": [], "search": {"logistic": {"c": [0.1, 0.01, 0.1]}}}
    run = make_run(tmp_path / "run", table)
    trains: list[str] = []

    class Hears(NoProgress):
        def begin(self, title: str, *_: object) -> None:
            trains.append(title)

    train(run, progress=Hears(), stop=threading.Event())
    record = read_record(run.model("logistic"))
    assert record.search is not None
    assert [point["settings"] for point in record.search["points"]] == [{"c": 0.1}, {"c": 0.01}]
    assert len([title for title in trains if "point" in title]) == 2
