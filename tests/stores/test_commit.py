"""Committing files and folders; what is left behind; errors of the machine."""

import errno
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.stores.commit import (
    committed_file,
    committing_directory,
    committing_file,
    leftovers,
    machine_errors,
    remove_directory,
    remove_leftovers,
    require_writable,
)
from hypoxia_hpc.stores.features import write_features
from hypoxia_hpc.stores.integrity import check_store
from hypoxia_hpc.stores.tiles import new_tile_store

TWO_DAYS = 2 * 24 * 60 * 60


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def always(answer: bool) -> Callable[[Path], bool]:
    return lambda _: answer


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def make_old(path: Path, seconds: float = TWO_DAYS) -> Path:
    then = time.time() - seconds
    for entry in (*path.rglob("*"), path):
        os.utime(entry, (then, then))
    return path


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.json"
    committed_file(target, b"one")
    committed_file(target, b"two")
    assert target.read_bytes() == b"two"
    assert names(target.parent) == ["a.json"]


def test_a_folder_is_made_kept_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "models" / "tanh"
    for text, same, expected in (("one", False, "one"), ("two", True, "one"), ("three", False, "three")):
        with committing_directory(target, always(same)) as folder:
            (folder / "inner").mkdir()
            (folder / "inner" / "weights").write_text(text)
        assert (target / "inner" / "weights").read_text() == expected
        assert names(target.parent) == ["tanh"]


def test_all_is_synced_before_the_rename_and_the_parent_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    rename = os.rename

    def syncing(descriptor: int) -> None:
        calls.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    def renaming(source: Path, target: Path) -> None:
        calls.append(f"{source.name} -> {target.name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "rename", renaming)
    with committing_directory(tmp_path / "a", always(False), sealed=False) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "weights").write_text("")
        (folder / "key").write_text("")
    assert calls[0] == "weights"  # what is in a folder before the folder
    assert calls[1] == "inner"
    assert calls[2:4] == ["key", folder.name]
    assert calls[4:] == [f"{folder.name} -> a", tmp_path.name]


@pytest.mark.parametrize("kind", ["file", "link to nowhere", "link to a folder", "empty folder"])
def test_whatever_has_the_name_of_a_folder_makes_way(tmp_path: Path, kind: str) -> None:
    target, elsewhere = tmp_path / "a", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("")
    if kind == "file":
        target.write_text("")
    elif kind == "empty folder":
        target.mkdir()
    else:
        target.symlink_to(elsewhere if kind == "link to a folder" else tmp_path / "nowhere")
    with committing_directory(target, always(False)) as folder:
        (folder / "b").write_text("")
    assert names(target) == ["SHA256SUMS", "b"]
    assert not target.is_symlink()
    assert names(tmp_path) == ["a", "elsewhere"]
    assert (elsewhere / "precious").exists()


@pytest.mark.parametrize("linked", ["tiles", "features/inception_v3", "receipts"])
@pytest.mark.parametrize("looks_like_a_run", [False, True])
def test_nothing_is_written_or_deleted_through_a_link_out_of_a_run(
    tmp_path: Path, linked: str, looks_like_a_run: bool
) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    (run / linked).parent.mkdir(parents=True)
    (elsewhere / "a.zarr").mkdir(parents=True)
    for folder in [run, elsewhere] if looks_like_a_run else [run]:
        (folder / "run.toml").touch()
    (run / linked).symlink_to("../" * (1 + linked.count("/")) + "elsewhere")
    before = names(elsewhere)
    for target in (run / linked / "a.zarr", run / linked / "new" / "b"):
        with pytest.raises(MachineError, match=rf"{linked} is a symbolic link that leads out of the run, to \.\./"):
            committed_file(target, b"")
        with pytest.raises(MachineError, match="leads out"), committing_directory(target, always(False)):
            pass
        with pytest.raises(MachineError, match="leads out"):
            remove_directory(target)
    assert names(elsewhere) == before


def test_links_within_a_run_and_to_a_run_are_followed(tmp_path: Path) -> None:
    (tmp_path / "far" / "old").mkdir(parents=True)
    (tmp_path / "far" / "run.toml").touch()
    (tmp_path / "far" / "tiles").symlink_to("old")
    (tmp_path / "run").symlink_to("far")
    committed_file(tmp_path / "run" / "tiles" / "a", b"there")
    assert (tmp_path / "far" / "old" / "a").read_bytes() == b"there"


def test_an_error_in_the_block_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.mkdir()
    (target / "old").write_text("")
    with pytest.raises(KeyboardInterrupt), committing_directory(target, always(False)) as folder:
        (folder / "half").write_text("")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["a"]
    assert names(target) == ["old"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO])
def test_errors_of_the_machine_say_path_rule_and_remedy(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(MachineError) as caught:
        committed_file(tmp_path / "a.json", b"one")
    assert str(tmp_path / "a.json") in caught.value.problem
    assert os.strerror(number) in caught.value.problem
    assert "run the same command again" in caught.value.remedy
    assert caught.value.exit_code == 4
    with pytest.raises(MachineError), new_tile_store(tmp_path / "a.zarr", 4) as writer:
        writer.new_tile()[:] = 0
        writer.commit(np.zeros((1, 2), np.int64), np.zeros(1, np.float32), {"key": "k"})
    assert names(tmp_path) == []


def test_a_name_too_long_and_a_file_for_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="too long"):
        committed_file(tmp_path / ("a" * 250), b"")
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="a file is where a folder has to be"):
        committed_file(tmp_path / "file" / "a.json", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MachineError, match="a folder is where a file has to be"):
        committed_file(tmp_path / "folder", b"")
    assert names(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("target", ["/proc/hypoxia/below/file", "/proc/hypoxia"])
def test_a_file_system_that_makes_no_files_is_a_state_of_the_machine(target: str) -> None:
    for write in (lambda: committed_file(Path(target), b""), lambda: require_writable(Path(target))):
        with pytest.raises(MachineError, match="nothing can be made in /proc "):
            write()


def test_whether_a_file_can_be_written_is_tried_and_leaves_what_is_there(tmp_path: Path) -> None:
    require_writable(tmp_path / "below" / "new")
    assert names(tmp_path / "below") == []
    (tmp_path / "old").write_text("old")
    require_writable(tmp_path / "old")
    assert names(tmp_path) == ["below", "old"]
    assert (tmp_path / "old").read_text() == "old"
    with pytest.raises(MachineError, match="a file is where a folder has to be"):
        require_writable(tmp_path / "old" / "new")


def test_a_file_that_the_work_misses_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), committing_file(tmp_path / "made"):
        (tmp_path / "missing").read_bytes()


def test_an_error_that_is_a_bug_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), machine_errors(tmp_path):
        (tmp_path / "absent").read_bytes()


def test_the_longest_slide_id_fits(tmp_path: Path) -> None:
    slide_id = "a" * 128
    write_features(
        tmp_path / f"{slide_id}.zarr", np.zeros((1, 2), np.float16), np.zeros((1, 2), np.int64), {"key": "k"}
    )
    assert check_store(tmp_path / f"{slide_id}.zarr") == []


def test_leftovers_are_old_and_their_process_gone(tmp_path: Path) -> None:
    host, gone = socket.gethostname().replace("-", "_"), dead_pid()
    abandoned = [
        f"tiles/.tmp-a.zarr-{host}-{gone}-0123abcd",
        f"tiles/.old-a.zarr-{host}-{gone}-0123abcd",
        "features/x/.tmp-a-b.zarr-another_host-1-0123abcd",
    ]
    kept = [
        f"tiles/.tmp-b.zarr-{host}-{os.getpid()}-0123abcd",
        "tiles/.tmp-notes",
        f"tiles/tmp-a.zarr-{host}-{gone}-0123abcd",
        "tiles/.tmp-a.zarr-host-99999999999999999999-0123abcd",
        f"tiles/a.zarr/.tmp-a-{host}-{gone}-0123abcd",
    ]
    for name in (*abandoned, *kept):
        (tmp_path / name / "pixels").mkdir(parents=True)
        (tmp_path / name / "pixels" / "c").write_text("")
    file = tmp_path / "receipts" / f".tmp-a.json-{host}-{gone}-0123abcd"
    file.parent.mkdir()
    file.write_text("")
    make_old(tmp_path)
    young = tmp_path / "tiles" / f".tmp-c.zarr-{host}-{gone}-0123abcd"
    young.mkdir()
    growing = tmp_path / "tiles" / ".tmp-d.zarr-another_host-1-0123abcd"
    (growing / "pixels").mkdir(parents=True)
    (growing / "pixels" / "c").write_text("")
    os.utime(growing, (0, 0))
    os.utime(growing / "pixels", (0, 0))
    expected = sorted([*(tmp_path / name for name in abandoned), file])
    assert leftovers(tmp_path) == expected
    assert remove_leftovers(tmp_path) == expected
    assert leftovers(tmp_path) == []
    assert all((tmp_path / name).exists() for name in kept)
    assert young.exists()
    assert growing.exists()


def test_cleaning_up_does_not_follow_links(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    run = tmp_path / "run"
    run.mkdir()
    link = run / ".tmp-a-another_host-1-0123abcd"
    link.symlink_to(precious)
    os.utime(link, (0, 0), follow_symlinks=False)
    os.utime(precious, (0, 0))
    assert remove_leftovers(run) == [link]
    assert names(run) == []
    assert precious.exists()


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def write_all(disk: Path) -> None:
    """About 160 KB in two stores and a file."""
    with new_tile_store(disk / "tiles" / "a.zarr", 32) as writer:
        for _ in range(30):
            writer.new_tile()[:] = 7
        writer.commit(np.zeros((30, 2), np.int64), np.zeros(30, np.float32), {"key": "k"})
    write_features(
        disk / "features" / "a.zarr", np.ones((600, 40), np.float16), np.ones((600, 2), np.int64), {"key": "k"}
    )
    committed_file(disk / "receipts" / "a.json", bytes(10000))


def assert_all_or_nothing(disk: Path) -> bool:
    """Try to write; whatever happens, only whole things have their names. True when all of it fitted."""
    try:
        write_all(disk)
    except MachineError as error:
        assert str(disk) in error.problem
        fitted = False
    else:
        fitted = True
    assert not [path for path in disk.rglob("*") if path.name.startswith((".tmp", ".old"))]
    assert all(check_store(store) == [] for store in disk.glob("*/*.zarr"))
    assert all(file.stat().st_size == 10000 for file in disk.glob("receipts/*"))
    for path in disk.iterdir():
        subprocess.run(["rm", "-r", path], check=True)
    return fitted


def test_a_full_disk_at_any_moment(small_disk: Path) -> None:
    fitted = []
    for kilobytes in range(4, 260, 16):
        remount(small_disk, f"size={kilobytes}k")
        fitted.append(assert_all_or_nothing(small_disk))
    assert fitted == sorted(fitted)
    assert 5 < fitted.count(False) < len(fitted)


def test_an_inode_quota_at_any_moment(small_disk: Path) -> None:
    fitted = []
    for inodes in range(2, 30):
        remount(small_disk, f"nr_inodes={inodes}")
        fitted.append(assert_all_or_nothing(small_disk))
    assert fitted == sorted(fitted)
    assert 15 < fitted.count(False) < len(fitted)


def test_a_read_only_disk(small_disk: Path) -> None:
    write_all(small_disk)
    remount(small_disk, "ro")
    for write in (
        lambda: committed_file(small_disk / "receipts" / "a.json", b"two"),
        lambda: committed_file(small_disk / "new" / "a.json", b"two"),
        lambda: write_features(
            small_disk / "features" / "b.zarr", np.ones((1, 1), np.float16), np.ones((1, 2), np.int64), {"key": "k"}
        ),
    ):
        with pytest.raises(MachineError, match="cannot be written"):
            write()
    with pytest.raises(MachineError, match="cannot be written"), new_tile_store(small_disk / "tiles" / "b.zarr", 4):
        pass
    assert check_store(small_disk / "tiles" / "a.zarr") == []
