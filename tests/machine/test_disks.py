"""File systems and quotas, read from what programs really print."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hypoxia_hpc.machine.disks import (
    Mount,
    Room,
    find_mount,
    free_bytes,
    free_room,
    mount_of,
    parse_lfs_quota,
    parse_quota,
    quota_room,
)

# quota-tools 4.06 with --no-wrap --raw-grace --show-mntpoint --hide-device: over both soft limits.
OVER = """\
Disk quotas for user nobody (uid 65534): 
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
        /tmp/tq    1465*   1000    2000 1795849312      13*     10      20 1795849312
"""  # noqa: W291 - as it is printed
NONE = "Disk quotas for user daemon (uid 1): none\n"
# As the Lustre manual prints it, and with a name so long that the line is broken.
LUSTRE = "     /mnt/lustre     300  307200  309200       -   10002   10000   11000  6d23h\n"
LUSTRE_WRAPPED = """\
/mnt/a-very-long-name-of-a-file-system
                    300* 0  400  -   10  0  0  -
"""


def test_quota() -> None:
    assert parse_quota(OVER) == Room("quota", 0, 0)
    assert parse_quota(OVER.replace("1465*", "400").replace("13*", "4")) == Room("quota", 600 * 1024, 6)
    no_files = OVER.replace("1465*", "400").replace("13*     10      20", "13     0      0")
    assert parse_quota(no_files) == Room("quota", 600 * 1024, None)
    only_hard = OVER.replace("1465*   1000", "1465   0").replace("13*     10", "13      0")
    assert parse_quota(only_hard) == Room("quota", 535 * 1024, 7)


def test_lustre_quota() -> None:
    assert parse_lfs_quota(LUSTRE) == Room("lfs quota", (307200 - 300) * 1024, 0)
    assert parse_lfs_quota(LUSTRE_WRAPPED) == Room("lfs quota", 100 * 1024, None)


@pytest.mark.parametrize("text", ["", NONE, "quota: error\n", "a b c d e f g h i\n", "\n\n1 2 3\n"])
def test_what_is_no_quota(text: str) -> None:
    assert parse_quota(text) is None
    assert parse_lfs_quota(text) is None


def test_a_machine_that_has_no_quota_or_no_such_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert quota_room(Mount("/", "lustre")) is None
    assert quota_room(Mount("/proc", "proc")) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert quota_room(Mount("/", "ext4")) is None


def test_the_innermost_and_latest_mount_counts() -> None:
    lines = [
        "/dev/sda1 / ext4 rw 0 0",
        "server:/home /home nfs4 rw 0 0",
        "none /home/a\\040b tmpfs rw 0 0",
        "mgs:/fs /scratch lustre rw 0 0",
        "mgs:/fs2 /scratch beegfs rw 0 0",
        "damaged",
    ]
    assert find_mount("/home/me/run", lines) == Mount("/home", "nfs4")
    assert find_mount("/home/a b/run", lines) == Mount("/home/a b", "tmpfs")
    assert find_mount("/homeless", lines) == Mount("/", "ext4")
    assert find_mount("/scratch", lines).kind == "beegfs"
    assert find_mount("/x", []) == Mount("", "")
    kinds = [find_mount(path, lines) for path in ("/home/me", "/home/a b", "/scratch", "/x")]
    assert [(mount.is_network, mount.is_memory) for mount in kinds] == [
        (True, False),
        (False, True),
        (True, False),
        (False, False),
    ]


def test_what_is_free_on_a_real_disk(small_disk: Path) -> None:
    assert mount_of(small_disk / "not" / "there") == Mount(str(small_disk), "tmpfs")
    before = free_room(small_disk)
    assert before.nbytes is not None and before.files is not None
    assert 2_900_000 < before.nbytes <= 3 * 2**20
    (small_disk / "file").write_bytes(b"x" * 2**20)
    after = free_room(small_disk)
    assert (after.nbytes, after.files) == (before.nbytes - 2**20, before.files - 1)
    said = subprocess.run(["df", "--output=avail", "-B1", small_disk], capture_output=True, text=True, check=True)
    assert free_bytes(small_disk) == int(said.stdout.split()[1])


def test_a_folder_that_is_gone_has_nothing_free(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "gone") == 0
