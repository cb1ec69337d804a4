"""A saved model whose arrays are not those of its head is refused, whatever is wrong; nothing it says is taken for a
call that is none."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stores_of_rows import cohort

from hypoxia_hpc.config import (
    AttentionTable,
    ContrastiveTable,
    DeepKMeansTable,
    FunnelTable,
    KMeansTable,
    LogisticTable,
    MiniBatchKMeansTable,
    ReluTable,
    Table,
    TanhTable,
)
from hypoxia_hpc.config.heads.registry import CLUSTERINGS, HEADS
from hypoxia_hpc.errors import NotReadyError
from hypoxia_hpc.networks.heads.checkpoints import Checkpoints
from hypoxia_hpc.networks.heads.registry import find_clustering, find_head
from hypoxia_hpc.networks.heads.result import Arrays
from hypoxia_hpc.networks.heads.saved import ModelRecord, save_model
from hypoxia_hpc.networks.heads.sound import checked, load_sound_model
from hypoxia_hpc.outcomes.registry import BINARY

LENGTH = 8
TABLES: dict[str, Table] = {
    "tanh": TanhTable(units=6, epochs=1, batch_size=50),
    "funnel": FunnelTable(units=(6, 4), epochs=1, batch_size=50),
    "relu": ReluTable(units=(6, 4), epochs=1, batch_size=50),
    "logistic": LogisticTable(c=1.0),
    "attention": AttentionTable(units=6, attention_units=4, epochs=1, batch_size=4, bag_tiles=8),
    "deep_kmeans": DeepKMeansTable(clusters=2, units=(6,), code=3, pretrain_epochs=1, epochs=1, batch_size=50),
    "contrastive": ContrastiveTable(clusters=2, units=6, epochs=1, batch_size=50),
    "kmeans": KMeansTable(clusters=2),
    "mini_batch_kmeans": MiniBatchKMeansTable(clusters=2, epochs=1, batch_size=50),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Arrays]:
    """The arrays that each head's own training makes."""
    folder = tmp_path_factory.mktemp("trained")
    data = cohort(folder, (20, 30, 25, 20), LENGTH)
    made = {}
    for name, table in TABLES.items():
        code = find_clustering(name) if name in CLUSTERINGS else find_head(name)
        made[name] = code.train(
            table,
            data,
            seed=1,
            checkpoints=Checkpoints(folder / name, "key", 60),
            on_epoch=lambda _: None,
            stop=threading.Event(),
        ).arrays
    return made


def saved(folder: Path, head: str, arrays: Arrays, feature_length: int = LENGTH) -> Path:
    record = ModelRecord(
        head=head,
        key=head,
        settings=TABLES[head].model_dump(mode="json"),
        seed=0,
        feature_length=feature_length,
        tile_spec={},
        extract_spec={},
        sets={},
        history={},
        compute={},
        software={},
    )
    save_model(folder / head, record, arrays)
    return folder / head


def refused(folder: Path) -> NotReadyError:
    with pytest.raises(NotReadyError, match=f"the model in {folder} is damaged") as caught:
        load_sound_model(folder)
    assert f"delete {folder}" in caught.value.remedy
    return caught.value


def test_every_head_and_clustering_of_features_says_what_its_arrays_are() -> None:
    own = {*TABLES, "linear", "finetune", "contrastive_network"}  # of linear: test_kinds_of_outcome.py
    assert own == {*HEADS, *CLUSTERINGS}
    assert all(find_head(name).shapes for name in HEADS if name != "finetune")
    assert all(find_clustering(name).shapes for name in CLUSTERINGS if name != "contrastive_network")


@pytest.mark.parametrize("head", TABLES)
def test_what_training_makes_is_sound(tmp_path: Path, trained: dict[str, Arrays], head: str) -> None:
    found = load_sound_model(saved(tmp_path, head, trained[head]))
    assert {name: array.tobytes() for name, array in found.arrays.items()} == {
        name: array.tobytes() for name, array in trained[head].items()
    }


Spoil = Callable[[dict[str, np.ndarray], str], None]


def spoilt_with(value: float) -> Spoil:
    def spoil(arrays: dict[str, np.ndarray], name: str) -> None:
        arrays[name] = arrays[name].copy()
        arrays[name].flat[0] = value

    return spoil


def other_type(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name] = arrays[name].astype(np.float16)


def other_rank(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name] = arrays[name][None]


def other_shape(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[name] = np.repeat(arrays[name], 2, axis=0)


def left_out(arrays: dict[str, np.ndarray], name: str) -> None:
    del arrays[name]


def renamed(arrays: dict[str, np.ndarray], name: str) -> None:
    arrays[f"other-{name}"] = arrays.pop(name)


SPOILS: dict[str, Spoil] = {
    "nan": spoilt_with(np.nan),
    "infinite": spoilt_with(-np.inf),
    "type": other_type,
    "rank": other_rank,
    "shape": other_shape,
    "missing": left_out,
    "renamed": renamed,
}


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("head", TABLES)
def test_any_array_that_is_wrong_is_named(tmp_path: Path, trained: dict[str, Arrays], head: str, spoil: str) -> None:
    for number, name in enumerate(sorted(trained[head])):
        arrays = {one: np.asarray(array) for one, array in trained[head].items()}
        SPOILS[spoil](arrays, name)
        error = refused(saved(tmp_path / f"{number}", head, arrays))
        assert any(name in item for item in error.offending)


@pytest.mark.parametrize("head", TABLES)
def test_another_feature_length_than_its_arrays_have(tmp_path: Path, trained: dict[str, Arrays], head: str) -> None:
    assert any("mean" in item for item in refused(saved(tmp_path, head, trained[head], LENGTH + 1)).offending)


@pytest.mark.parametrize(
    ("columns", "n_wrong"),
    [
        ({"probability": [0.0, 1.0, 0.5]}, 0),
        ({"probability": [0.0, np.nan, 0.5]}, 1),
        ({"probability": [0.0, 1.0000001, -0.1]}, 2),
        ({"probability": [np.inf, 0.5, 0.5]}, 1),
        ({"probability": [0.5, 0.5, 0.5], "attention_logit": [0.0, np.nan, np.inf]}, 2),
    ],
)
def test_what_is_no_probability_is_an_error_of_the_model(columns: dict[str, list[float]], n_wrong: int) -> None:
    said = {name: np.array(values) for name, values in columns.items()}
    say = checked(lambda _: said, "tanh", 4, "hypoxia-hpc train 'a b'", BINARY)
    if not n_wrong:
        assert say(np.zeros((3, 4), np.float32)) is said
        return
    with pytest.raises(NotReadyError, match=f"tanh gives {n_wrong} values for 3 tiles") as caught:
        say(np.zeros((3, 4), np.float32))
    assert caught.value.remedy.endswith("train it again: hypoxia-hpc train 'a b'")


def test_features_of_another_length_are_refused() -> None:
    say = checked(lambda _: {"probability": np.zeros(3)}, "tanh", 4, "hypoxia-hpc train RUN", BINARY)
    with pytest.raises(NotReadyError, match="tanh was trained on 4 features a tile, and these have 5"):
        say(np.zeros((3, 5), np.float32))


@pytest.mark.parametrize("folder", ["models/tanh", "checkpoints/tanh/point-3"])
def test_the_remedy_names_the_run(tmp_path: Path, folder: str) -> None:
    run = tmp_path / "it's a run"
    run.mkdir()
    (run / "run.toml").touch()
    with pytest.raises(NotReadyError, match="holds no trained model") as caught:
        load_sound_model(run / folder)
    assert shlex.split(caught.value.remedy) == ["hypoxia-hpc", "train", str(run)]
