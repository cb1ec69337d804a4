"""What fine-tuned networks said of tiles, read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.models.outputs import kept_outputs
from hypoxia_hpc.outcomes.registry import BINARY
from hypoxia_hpc.records import Slide
from hypoxia_hpc.runs.directory import RunDir
from hypoxia_hpc.stores.features import write_features

NAMES = ("a", "b", "c", "quarantined")


def run_with_probabilities(root: Path) -> RunDir:
    run = RunDir(root)
    rows = [f"{name},{name}.svs,P-{name},1" for name in NAMES]
    root.mkdir()
    run.slides_file.write_text("\n".join(["slide_id,path,patient_id,cost", *rows]) + "\n")
    for name in NAMES[:-1]:
        values = np.tile(np.array([[0.25, 0.75]], np.float32), (5, 1))
        write_features(run.features("finetune", name), values, np.zeros((5, 2), np.int64), {"key": name})
    return run


def test_probabilities_of_class_1_are_given(tmp_path: Path) -> None:
    run = run_with_probabilities(tmp_path / "run")
    said = kept_outputs(run, "finetune", BINARY)(Slide("a", Path("a.svs"), "P-a", 1), np.zeros((5, 1), np.float32))
    assert said["probability"].tolist() == [0.75] * 5


def test_the_first_damaged_store_names_all_and_what_makes_them_again(tmp_path: Path) -> None:
    run = run_with_probabilities(tmp_path / "run")
    for name in ("a", "c"):
        shard = run.features("finetune", name) / "features" / "c.0.0"
        shard.write_bytes(shard.read_bytes()[:-1])
    read = kept_outputs(run, "finetune", BINARY)
    assert len(read(Slide("b", Path("b.svs"), "P-b", 1), np.zeros((5, 1), np.float32))["probability"]) == 5
    with pytest.raises(NotReadyError, match="2 stores of probabilities are damaged") as caught:
        read(Slide("a", Path("a.svs"), "P-a", 1), np.zeros((5, 1), np.float32))
    paths = [str(run.features("finetune", name)) for name in ("a", "c")]
    assert [item.partition(": ")[0] for item in caught.value.offending] == paths
    assert all(item.count(path) == 1 for item, path in zip(caught.value.offending, paths, strict=True))
    assert "the same command" in caught.value.remedy
