"""Weights of foundation models from a hub: a real server on this machine in its place."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hub_server import COMMIT, HubServer, hub_serving
from safetensors.numpy import load_file, save

from hypoxia_hpc.config import ExtractTable
from hypoxia_hpc.errors import InputError, MachineError, NotReadyError, Stopped
from hypoxia_hpc.networks.backbones import hub, hub_fetch
from hypoxia_hpc.networks.backbones.check import check_known, check_table
from hypoxia_hpc.networks.backbones.fetched import fetched_file, read_origin, record_path
from hypoxia_hpc.networks.backbones.hub import hub_endpoint
from hypoxia_hpc.networks.backbones.hub_fetch import Kept, fetch_models, read_token
from hypoxia_hpc.networks.backbones.listing import listed_networks
from hypoxia_hpc.progress import NoProgress

TENSORS = {"a": np.arange(70_000, dtype=np.float32), "b": np.ones(3, dtype=np.float16)}
DATA = save(TENSORS)
TOKEN = "hf_right"  # noqa: S105 - of the server of this test
PHIKON, UNI = "owkin/phikon", "MahmoodLab/UNI"
with_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch, which reads a .bin")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setattr(hub, "PAUSE_SECONDS", 0.01)
    with hub_serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.files[f"{PHIKON}/model.safetensors"] = DATA
        yield server


class Notes(NoProgress):
    """Keeps what is noted, and how many megabytes were shown."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.megabytes = 0

    def note(self, text: str) -> None:
        self.noted.append(text)

    def item(self, cost: float) -> None:
        self.megabytes += 1


def fetched(folder: Path, *names: str, token: str = "", stop: threading.Event | None = None) -> list[Kept]:
    return fetch_models(names, folder, token=token, progress=NoProgress(), stop=stop or threading.Event())


def refused(folder: Path, *names: str, token: str = "") -> str:
    with pytest.raises(MachineError) as caught:
        fetched(folder, *names, token=token)
    return str(caught.value)


def hidden(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*"))


def test_a_file_is_fetched_verified_and_found_by_its_name(server: HubServer, tmp_path: Path) -> None:
    (kept,) = fetched(tmp_path, "phikon")
    assert kept.path == tmp_path / "phikon.safetensors" and kept.path.read_bytes() == DATA
    assert kept.sha256 == hashlib.sha256(DATA).hexdigest() and kept.is_new
    origin = read_origin(kept.path)
    assert origin is not None and (origin.commit, origin.repository) == (COMMIT, PHIKON)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["phikon.safetensors", "phikon.safetensors.json"]
    assert next(one for one in listed_networks(tmp_path) if one.name == "phikon").weights_here
    found = check_table(ExtractTable(backbone="phikon"), tmp_path)
    assert (found.status, found.digest) == ("sound", kept.sha256)
    assert "phikon" in {one.network for one in check_known(tmp_path)}
    n = len(server.asked)
    assert [one.is_new for one in fetched(tmp_path, "phikon", "phikon")] == [False]
    assert len(server.asked) == n, "what is there and sound is asked for again"


def test_what_came_is_gone_on_with_by_itself_and_by_the_same_command(server: HubServer, tmp_path: Path) -> None:
    server.cuts = 2
    fetched(tmp_path, "phikon")
    assert [range_ for method, _, _, range_ in server.asked if method == "GET"] == [
        "",
        f"bytes={len(DATA) // 2}-",
        f"bytes={len(DATA) // 2 + len(DATA[len(DATA) // 2 :]) // 2}-",
    ]
    for one in tmp_path.iterdir():
        one.unlink()
    server.asked.clear()
    part = tmp_path / f".phikon-{hashlib.sha256(DATA).hexdigest()[:16]}.part"
    part.write_bytes(DATA[:1000])
    assert fetched(tmp_path, "phikon")[0].path.read_bytes() == DATA
    assert server.asked[-1][3] == "bytes=1000-" and not hidden(tmp_path)


def test_a_server_without_parts_begins_anew(server: HubServer, tmp_path: Path) -> None:
    server.cuts, server.parts = 1, False
    assert fetched(tmp_path, "phikon")[0].path.read_bytes() == DATA


def test_a_stop_keeps_what_came(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def stopping(*arguments: Any) -> bytes:
        stop.set()
        return b"x"

    monkeypatch.setattr(hub, "read_block", stopping)
    with pytest.raises(Stopped):
        fetched(tmp_path, "phikon", stop=stop)
    assert len(hidden(tmp_path)) == 1 and not (tmp_path / "phikon.safetensors").exists()


def test_wrong_bytes_are_not_kept(server: HubServer, tmp_path: Path) -> None:
    server.digest = "0" * 64
    said = refused(tmp_path, "phikon")
    assert "the hub says " + "0" * 64 in said and hashlib.sha256(DATA).hexdigest() in said
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_longer_than_the_hub_says_is_not_kept(server: HubServer, tmp_path: Path) -> None:
    with hub_serving() as stock:
        server.stock = stock
        stock.files[f"{PHIKON}/model.safetensors"] = DATA + b"more"
        assert "does not end where the hub says" in refused(tmp_path, "phikon")


def test_a_token_is_for_the_hub_alone_and_in_no_message(server: HubServer, tmp_path: Path) -> None:
    server.gated.add(PHIKON)
    with hub_serving() as stock:
        server.stock = stock
        stock.files = dict(server.files)
        fetched(tmp_path, "phikon", token=TOKEN)
        assert {given for _, _, given, _ in server.asked} == {"Bearer hf_right"}
        assert [given for _, _, given, _ in stock.asked] == [""]
        stock.files.clear()
    for one in tmp_path.iterdir():
        one.unlink()
    assert "secret" not in (said := refused(tmp_path, "phikon", token=TOKEN)) and "hf_right" not in said


def test_a_repository_of_a_new_name_is_followed(server: HubServer, tmp_path: Path) -> None:
    server.renamed[PHIKON] = "owkin/new"
    server.files["owkin/new/model.safetensors"] = DATA
    assert fetched(tmp_path, "phikon")[0].path.read_bytes() == DATA


@pytest.mark.parametrize(
    ("token", "accepted", "words"),
    [
        ("", True, ("401", "log in, accept the licence", "--token-file")),
        ("hf_wrong", True, ("401", "does not know this token")),
        ("hf_right", False, ("403", "accept the licence and terms there")),
    ],
)
def test_a_gate_is_said_in_words(
    token: str, accepted: bool, words: tuple[str, ...], server: HubServer, tmp_path: Path
) -> None:
    server.gated.add(UNI)
    server.accepted = accepted
    said = refused(tmp_path, "uni", "phikon", token=token)
    assert all(one in said for one in (*words, f"{server.url}/{UNI}")), said
    assert not token or token not in said
    assert "no weights yet of uni\n" in said and (tmp_path / "phikon.safetensors").exists()


@pytest.mark.parametrize(("status", "words"), [(429, "asked too often"), (500, "the server says 500")])
def test_other_refusals_are_said(status: int, words: str, server: HubServer, tmp_path: Path) -> None:
    server.busy = status
    assert words in refused(tmp_path, "phikon")


def test_what_the_hub_does_not_have_is_said(server: HubServer, tmp_path: Path) -> None:
    server.files.clear()
    assert "404: the hub has no such file" in refused(tmp_path, "phikon")


def test_no_internet_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    said = refused(tmp_path, "phikon", "uni")
    assert "127.0.0.1 cannot be reached" in said and "no weights yet of phikon, uni" in said
    assert said.count("cannot be reached") == 1


@pytest.mark.parametrize("endpoint", ["http://hub.example", "ftp://hub.example", "hub.example"])
def test_a_hub_is_asked_by_https_alone(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(InputError, match="by https alone"):
        hub_endpoint()
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    assert hub_endpoint() == "https://hub.example"


def test_it_is_refused_in_a_job(server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert "never run on a compute node" in refused(tmp_path, "phikon") and not server.asked


def test_a_full_disk_is_said_before_it_is_full(
    server: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_fetch.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert "phikon needs 0 MB, and 0 MB are free" in refused(tmp_path, "phikon")
    assert not list(tmp_path.iterdir())


def test_a_file_of_unknown_origin_is_not_replaced_and_a_damaged_one_is(server: HubServer, tmp_path: Path) -> None:
    path = tmp_path / "phikon.safetensors"
    path.write_bytes(b"mine")
    assert "it is not from here" in refused(tmp_path, "phikon") and path.read_bytes() == b"mine"
    with pytest.raises(NotReadyError, match=r"no file phikon\.safetensors\.json beside it"):
        fetched_file("phikon", tmp_path)
    path.unlink()
    fetched(tmp_path, "phikon")
    path.write_bytes(DATA[:-1])
    assert check_table(ExtractTable(backbone="phikon"), tmp_path).status == "wrong hash"
    assert fetched(tmp_path, "phikon")[0].is_new and path.read_bytes() == DATA
    for text in (
        "{",
        "[]",
        '{"sha256": "x"}',
        json.dumps(dict.fromkeys(json.loads(record_path(path).read_text()), "x")),
    ):
        record_path(path).write_text(text)
        with pytest.raises(NotReadyError, match="does not say where"):
            read_origin(path)


def test_what_is_no_file_of_tensors_is_not_kept(server: HubServer, tmp_path: Path) -> None:
    server.files[f"{PHIKON}/model.safetensors"] = b"<html>"
    assert "no file of tensors" in refused(tmp_path, "phikon")
    assert not list(tmp_path.glob("phikon*"))


@with_torch
def test_a_bin_is_converted_and_a_harmful_one_is_not(server: HubServer, tmp_path: Path) -> None:
    import torch

    torch.save({name: torch.from_numpy(one) for name, one in TENSORS.items()}, tmp_path / "file")
    server.files[f"{UNI}/pytorch_model.bin"] = (tmp_path / "file").read_bytes()
    (kept,) = fetched(tmp_path / "weights", "uni")
    found = load_file(kept.path)
    assert all((found[name] == one).all() for name, one in TENSORS.items())
    origin = read_origin(kept.path)
    assert origin is not None and origin.file_sha256 == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()
    assert origin.sha256 == kept.sha256 == fetched_file("uni", kept.path.parent).digest
    assert not hidden(kept.path.parent)
    torch.save({"a": Path("/tmp")}, tmp_path / "file")  # noqa: S108
    server.files[f"{UNI}/pytorch_model.bin"] = (tmp_path / "file").read_bytes()
    assert "more than tensors" in refused(tmp_path / "other", "uni")
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is here, which reads a .bin")
def test_a_bin_without_pytorch_is_not_even_begun(server: HubServer, tmp_path: Path) -> None:
    server.files[f"{UNI}/pytorch_model.bin"] = DATA
    assert "PyTorch, which reads it, is not here" in refused(tmp_path, "uni")
    assert {method for method, *_ in server.asked} == {"HEAD"}


def test_a_token_that_others_can_read_is_said(tmp_path: Path) -> None:
    file, notes = tmp_path / "token", Notes()
    file.write_text("hf_right\n")
    file.chmod(0o644)
    assert read_token(file, notes) == "hf_right" and read_token(None, notes) == ""
    assert "mode 644" in notes.noted[0] and "hf_right" not in notes.noted[0]
    file.chmod(0o600)
    read_token(file, notes)
    assert len(notes.noted) == 1
    for text in ("", "two words", "é"):
        file.write_text(text)
        with pytest.raises(InputError, match="holds no token"):
            read_token(file, notes)
    with pytest.raises(InputError, match="is no file"):
        read_token(tmp_path / "none", notes)


def test_the_command_prints_what_goes_into_run_toml(
    server: HubServer, tmp_path: Path, hypoxia: Callable[..., CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPOXIA_HPC_WEIGHTS", str(tmp_path / "weights"))
    server.gated.add(PHIKON)
    token = tmp_path / "token"
    token.write_text("hf_right")
    token.chmod(0o600)
    gated = hypoxia("weights", "fetch", "phikon")
    assert gated.returncode == 4 and "accept the licence" in gated.stderr
    done = hypoxia("weights", "fetch", "phikon", "--token-file", token)
    assert done.returncode == 0, done.stderr
    assert f'weights_sha256 = "{hashlib.sha256(DATA).hexdigest()}"' in done.stdout
    assert f'weights = "{tmp_path / "weights" / "phikon.safetensors"}"' in done.stdout
    assert "hf_right" not in done.stdout + done.stderr
    assert "yes" in hypoxia("backbones", "phikon").stdout
