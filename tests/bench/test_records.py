"""Figures as lines: what they hold, what they do not hold, and what is refused when they are read."""

from __future__ import annotations

import codecs
import json
import os
import platform
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hypoxia_hpc.bench.case import Case, Place, Prepared
from hypoxia_hpc.bench.comparison import LeftOut
from hypoxia_hpc.bench.environment import container_digest, environment, graphics, machine
from hypoxia_hpc.bench.measuring import Measurement, Spread
from hypoxia_hpc.bench.records import (
    Record,
    append_records,
    default_history,
    left_out_lines,
    read_history,
    record_of,
    require_history,
)
from hypoxia_hpc.errors import InputError, MachineError

PLACES = ("case", "topic", "unit", "rate", "share", "bound", "bound_rate", "peers", "rounds", "caches", "busy")
LATER = ("core_seconds", "gpu_seconds", "joules", "answers", "left_out")  # than the first lines


def never(_: Place) -> AbstractContextManager[Prepared]:
    raise AssertionError


def a_record(folder: Path, **changes: Any) -> Record:
    case = Case("jpeg", "readers", "s", "tiles", "decoding", never)
    one = Measurement(case, "", 7, Spread(90.0, 80.0, 95.5), Spread(0.9, 0.8, 1.1), 100.0, busy=0.97)
    record = record_of(replace(one, peers={"OpenSlide": Spread(3.0, 2.5, 3.5)}), environment(folder))
    assert record is not None
    return replace(record, **changes)


def test_records_are_appended_and_read_back_the_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bench.jsonl"
    records = [a_record(tmp_path), a_record(tmp_path, case="other"), a_record(tmp_path, rounds=9)]
    append_records(path, records[:1])
    append_records(path, records[1:])
    assert read_history(path).records == records
    assert len(path.read_text().splitlines()) == 3


def test_a_line_names_the_kind_of_machine_and_no_host_user_or_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "HOME", "HOSTNAME", "SLURM_JOB_ACCOUNT", "SLURMD_NODENAME"):
        monkeypatch.setenv(name, f"/secret-{name}")
    line = json.dumps(asdict(a_record(tmp_path)))
    found = json.loads(line)
    assert set(found) == {"schema", *PLACES, *LATER, "environment"}
    assert set(found["environment"]) == {
        *("processor", "cores", "memory_gb", "gpus", "driver", "file_system", "container", "system", "python"),
        *("package", "libraries", "commit", "backend"),
    }
    assert platform.node() not in line
    assert "secret" not in line
    assert str(tmp_path) not in line
    assert "/" not in json.dumps(found["environment"]["file_system"])


def test_a_line_says_how_peers_compare_and_why_others_were_not_timed_without_their_messages(tmp_path: Path) -> None:
    case = Case("jpeg", "readers", "s", "tiles", "decoding", never)
    left_out = {"cuCIM": LeftOut("failed with OSError", "/home/user/slide.svs"), "hs2p": LeftOut("not installed")}
    one = Measurement(case, "", 7, Spread(90, 80, 95), Spread(1, 0.9, 1.1), 1.0, how={"x": "identical"}, busy=1.0)
    found = record_of(replace(one, left_out=left_out), environment(tmp_path))
    assert found is not None
    assert found.answers == {"x": "identical"}
    assert found.left_out == {"cuCIM": "failed with OSError", "hs2p": "not installed"}
    append_records(tmp_path / "bench.jsonl", [found])
    assert read_history(tmp_path / "bench.jsonl").records == [found]


def test_lines_of_before_energy_was_measured_are_read(tmp_path: Path) -> None:
    path, now = tmp_path / "bench.jsonl", a_record(tmp_path, core_seconds=0.25, gpu_seconds=0.5, joules={"RAPL": 2.5})
    before = {name: value for name, value in asdict(now).items() if name not in LATER}
    path.write_text(json.dumps(before) + "\n")
    append_records(path, [now])
    assert read_history(path).records == [replace(now, core_seconds=None, gpu_seconds=None, joules={}), now]


def test_what_was_not_measured_has_no_line(tmp_path: Path) -> None:
    case = Case("x", "topic", "s", "u", "b", never)
    assert record_of(Measurement(case, "pip install it"), environment(tmp_path)) is None


def test_lines_that_cannot_be_read_are_left_out_with_their_numbers_and_reasons(tmp_path: Path) -> None:
    path, record = tmp_path / "bench.jsonl", a_record(tmp_path)
    append_records(path, [record])
    line = path.read_bytes().rstrip()
    whole = json.loads(line)
    newer = [json.dumps({**whole, **more}).encode() for more in ({"more": 1}, {"schema": 2}, {"kind": "new"})]
    without = json.dumps({name: value for name, value in whole.items() if name != "unit"}).encode()
    strange = json.dumps({**whole, "rounds": "7"}).encode()
    lines = [codecs.BOM_UTF8 + line, b"", *newer, strange, without, b"\xff", b"7", line + b"\r", line[:-9]]
    path.write_bytes(b"\n".join(lines))
    found = read_history(path)
    assert found.records == [record, record]
    assert found.left_out == [
        *((number, "written by a newer hypoxia_hpc") for number in (3, 4, 5)),
        (6, "rounds is not what bench writes there"),
        (7, "it has no unit"),
        (8, "no JSON"),
        (9, "no figure of bench"),
        (11, "cut off"),
    ]
    assert left_out_lines(found.left_out)[0] == (
        "3 lines that cannot be read (lines 3, 4, 5): written by a newer hypoxia_hpc"
    )


def test_only_a_file_without_any_figure_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bench.jsonl"
    path.write_text("\n{\n")
    with pytest.raises(InputError, match="no line that can be read") as caught:
        read_history(path)
    assert caught.value.offending == ("line 2: cut off",)
    path.write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        read_history(path)


def test_a_figure_behind_a_cut_line_has_a_line_of_its_own(tmp_path: Path) -> None:
    path, record = tmp_path / "bench.jsonl", a_record(tmp_path)
    append_records(path, [record])
    path.write_bytes(path.read_bytes()[:-40])
    append_records(path, [record])
    append_records(path, [record])
    assert read_history(path) == ([record, record], [(1, "cut off")])


def test_only_a_new_line_ends_a_line(tmp_path: Path) -> None:
    path, record = tmp_path / "bench.jsonl", a_record(tmp_path, bound="a\u2028b\x85c")
    path.write_text(json.dumps(asdict(record), ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_history(path).records == [record]


def test_a_history_is_a_plain_file_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(InputError, match="no plain file"):
            require_history(path)
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere.jsonl")
    append_records(link, [a_record(tmp_path)])  # on another disk, say
    assert link.is_symlink()
    assert len(read_history(tmp_path / "elsewhere.jsonl").records) == 1


def test_a_full_disk_is_an_error_and_what_was_kept_before_is_read(small_disk: Path) -> None:
    path, record = small_disk / "bench.jsonl", a_record(small_disk)
    append_records(path, [record])
    (small_disk / "others").write_bytes(bytes(4000))
    with suppress(OSError), (small_disk / "full").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    (small_disk / "others").unlink()
    with pytest.raises(MachineError, match="the disk is full"):
        append_records(path, [record] * 50)
    (small_disk / "full").unlink()
    append_records(path, [record])
    found = read_history(path)
    assert found.records[0] == found.records[-1] == record
    assert {why for _, why in found.left_out} == {"cut off"}


def test_a_history_that_is_not_there_or_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_history(tmp_path / "none.jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError):
        append_records(tmp_path / "file" / "bench.jsonl", [a_record(tmp_path)])


def test_the_history_lies_with_the_users_data(tmp_path: Path) -> None:
    assert default_history({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "hypoxia_hpc" / "bench.jsonl"
    assert default_history({}).parts[-4:] == (".local", "share", "hypoxia_hpc", "bench.jsonl")


def test_an_image_is_named_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "cpu.sif"
    image.write_bytes(b"image")
    found = {}
    for name, value in (("none", ""), ("there", str(image)), ("gone", str(tmp_path / "gone.sif"))):
        container_digest.cache_clear()
        monkeypatch.setenv("APPTAINER_CONTAINER", value)
        found[name] = container_digest()
    container_digest.cache_clear()
    assert found["none"] == ""
    assert found["there"].startswith("6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d")
    assert found["gone"] == "unknown"


def test_gpus_are_those_that_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.1'\necho 'NVIDIA H200, 570.1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert graphics() == (["NVIDIA H200", "NVIDIA H200"], "570.1")
    program.write_text("#!/bin/sh\nexit 9\n")
    assert graphics() == ([], "")


def test_the_machine_of_a_benchmark_says_how_busy_it_is() -> None:
    assert set(machine()) >= {"processor", "cores", "commit", "load_average"}
