"""The site file that is written, from what SLURM's programs print: what it says is valid, and so is all it suggests."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.config.site_file import read_site_file
from hypoxia_hpc.errors import InputError, MachineError
from hypoxia_hpc.slurm.associations import parse_associations
from hypoxia_hpc.slurm.site import SiteFacts, site_text, write_site_file

PARTITIONS = """\
normal*|up|1-00:00:00|2|64|257000+|(null)|(null)
gpu|up|12:00:00|4|32|515000|gpu:a100:4(S:0-1),lscratch:500|a100,ib
old|down|infinite|1|8|32000|(null)|(null)
"""
CONFIG = "MaxArraySize            = 1001\nSelectTypeParameters    = CR_CORE\n"
FACTS = SiteFacts(
    PARTITIONS, CONFIG, parse_associations("lab||200||normal,long\nother||||normal\n"), "\tpmix\n\tnone\n"
)


def test_what_is_certain_is_said_and_what_is_to_choose_is_a_comment() -> None:
    text = site_text(FACTS, "login1")
    assert tomllib.loads(text)["site"]["slurm"] == {
        **{"gpu_partition": "gpu", "gres": "gpu:a100:1", "most_elements": 98, "mpi": "pmix"},
    }
    for line in (
        "#   normal (default): 1-00:00:00, 2 x 64 cores, 257000+ MB",
        "#   gpu: 12:00:00, 4 x 32 cores, 515000 MB, gpu:a100:4(S:0-1),lscratch:500, a100,ib",
        "#   old (down): infinite, 1 x 8 cores, 32000 MB",
        *(
            '# partition = "normal"',
            '# partition = "old"',
            '# account = "lab"',
            '# account = "other"',
            '# qos = "long"',
        ),
        '# memory = "none"',
    ):
        assert line in text.splitlines()


def test_where_all_partitions_have_gpus_each_may_be_chosen() -> None:
    text = site_text(SiteFacts("a*|up|1|1|1|1|gpu:1|\nb|up|1|1|1|1|gpu:1|\n"), "login1")
    assert tomllib.loads(text)["site"]["slurm"] == {}
    assert {'# partition = "a"', '# partition = "b"', '# gpu_partition = "b"'} <= {*text.splitlines()}


def test_every_suggestion_can_be_taken(tmp_path: Path) -> None:
    lines = site_text(FACTS, "login1").splitlines()
    taken = {re.split(" =", line)[0]: line for line in (line.removeprefix("# ") for line in lines[8:]) if " = " in line}
    constraint = taken.pop("constraint")
    file = tmp_path / "site.toml"
    file.write_text("\n".join(["[site.slurm]", *taken.values(), "[site.slurm.extract]", constraint]))
    table = SlurmTable.model_validate(read_site_file(file)["slurm"])
    assert (table.partition, table.memory, table.extract.constraint) == ("old", "none", "gpu")


@pytest.mark.parametrize(
    "facts",
    [
        SiteFacts(),
        SiteFacts('\x1b[31m|a\nodd"name|up|1|1|1|1|gpu:2\x1b|\n', "Select", parse_associations("a|b\n"), "srun: error"),
        FACTS,
    ],
)
def test_whatever_slurm_says_the_file_is_valid(facts: SiteFacts, tmp_path: Path) -> None:
    text = site_text(facts, "host\n[site]")
    file = tmp_path / "site.toml"
    file.write_text(text)
    read_site_file(file)
    assert "\x1b" not in text


def test_nothing_is_overwritten_and_without_slurm_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    there = tmp_path / "there.toml"
    there.write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        write_site_file(there)
    with pytest.raises(MachineError, match="sinfo is not on this machine"):
        write_site_file(tmp_path / "new" / "site.toml")
    assert not (tmp_path / "new").exists()
    assert there.read_text() == "mine"
