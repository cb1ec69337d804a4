"""What jobs had and used, read from what sacct really printed at several sites: with GPUs that are looked at, with
energy, with neither."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypoxia_hpc.slurm.queue import parse_sacct
from hypoxia_hpc.slurm.usage import Usage, memory_bytes, seconds_of

# JobID, State, ExitCode, Elapsed, NodeList, MaxRSS, ElapsedRaw, AllocTRES, TotalCPU, TRESUsageInTot, ConsumedEnergyRaw.
HEAD = "|COMPLETED|0:0|01:00:00|n1|"
GPU = "billing=192,cpu=16,gres/cpu=16,gres/gpu:h100=1,gres/gpu=1,mem=180G,node=1"
LOOKED_AT = (
    "cpu=00:56:24,energy=0,fs/disk=350130624578,gres/gpumem=38888M,gres/gpuutil=100,mem=10372780K,pages=3465,vmem=1K"
)
NOT_LOOKED_AT = "cpu=00:00:00,energy=0,fs/disk=5273,gres/gpumem=0,gres/gpuutil=0,mem=256K,pages=0,vmem=0"
WITH_GPU = f"""\
18194943{HEAD}|3600|{GPU}|56:24.100||0
18194943.batch{HEAD}10372780K|3600|{GPU}|56:24.100|{LOOKED_AT}|0
18194943.extern{HEAD}256K|3600|{GPU}|00:00.001|{NOT_LOOKED_AT}|0
"""
WITH_ENERGY = """\
1935|COMPLETED|0:0|00:02:02|n1||122|billing=128,cpu=128,energy=101630,mem=1027000M,node=1|00:00.227||101630
1935.extern|COMPLETED|0:0|00:02:02|n1|0|122|cpu=128,mem=1027000M,node=1|00:00.001|energy=794,fs/disk=1|101630
1935.0|COMPLETED|0:0|00:02:02|n1|3244K|122|cpu=128,mem=1027000M,node=1|00:00.225|energy=794,fs/disk=759156|101630
"""
TWO_NODES = """\
7|COMPLETED|0:0|00:10:00|n[1-2]||600|billing=8,cpu=8,mem=8000M,node=2|1-00:00:00||18446744073709551614
7.0|COMPLETED|0:0|00:10:00|n[1-2]|1000K|600|cpu=8,mem=8000M,node=2|1-00:00:00|cpu=1-00:00:00,mem=8000K|
"""


def used(text: str) -> Usage:
    (ended,) = parse_sacct(text)
    return ended.usage


def test_of_a_gpu_the_most_that_was_seen() -> None:
    assert used(WITH_GPU) == Usage(
        *(3600, 16, 1, 1, 180 * 2**30),
        cpu_seconds=3384.1,
        memory=10372780 * 1024,
        gpu_share=1.0,
        gpu_memory=38888 * 2**20,
    )


@pytest.mark.parametrize("kinds", ["gres/gpu:a100=2", "gres/gpu:a100=2,gres/gpu=2", "gres/gpu:a100=1,gres/gpu:h100=1"])
def test_gpus_count_however_a_site_counts_them(kinds: str) -> None:
    found = used(WITH_GPU.replace("gres/gpu:h100=1,gres/gpu=1", kinds))
    assert (found.gpus, found.gpu_share) == (2, 0.5)


def test_a_gpu_that_was_not_looked_at_is_no_idle_one() -> None:
    found = used(WITH_GPU.replace(LOOKED_AT, NOT_LOOKED_AT))
    assert (found.gpus, found.gpu_share, found.gpu_memory) == (1, None, None)


def test_energy_is_that_of_the_job() -> None:
    assert used(WITH_ENERGY) == Usage(
        122, 128, memory_asked=1027000 * 2**20, cpu_seconds=0.227, memory=3244 * 1024, joules=101630
    )


def test_of_several_nodes_memory_is_that_of_one_and_an_energy_that_stands_for_none_is_none() -> None:
    found = used(TWO_NODES)
    assert (found.nodes, found.memory_asked, found.memory, found.joules) == (2, 4000 * 2**20, 4000 * 1024, None)
    assert found.cpu_seconds == 86400


def test_what_accounting_does_not_say_is_not_zero() -> None:
    assert used("7|FAILED|4:0|00:00:00|n1||0||00:00:00||0\n") == Usage()
    hostile = "7|COMPLETED|0:0|x|n1|9e9G|-5|cpu=x,mem=,node=0,gres/gpu=٣|1:2:3:4|mem|" + "9" * 5000 + "\n"
    assert used(hostile) == replace(Usage(), nodes=1)


@pytest.mark.parametrize(
    ("text", "nbytes"), [("3248K", 3248 * 1024), ("1.50G", 3 * 2**29), ("0", 0), ("", 0), ("12M", 12 * 2**20)]
)
def test_memory_as_sacct_writes_it(text: str, nbytes: int) -> None:
    assert memory_bytes(text) == nbytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1-02:03:04", 93784), ("02:03:04", 7384), ("03:04.500", 184.5), ("00:00:00", 0), ("INVALID", 0), ("", 0)],
)
def test_times_as_sacct_writes_them(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
