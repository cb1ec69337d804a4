"""Whether all jobs of a chain can be in the queue at once, from what SLURM's programs print."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hypoxia_hpc.config import SlurmTable
from hypoxia_hpc.errors import InputError
from hypoxia_hpc.slurm.associations import parse_associations
from hypoxia_hpc.slurm.chain import Job
from hypoxia_hpc.slurm.resources import Array, JobRequest
from hypoxia_hpc.slurm.room import QueueFacts, limits_on, refuse_without_room

ASSOCIATIONS = parse_associations("cores||100|normal|normal,long\ngpus||20||gpu\nfree||||\n")


def job_of(stage: str, n: int = 0) -> Job:
    elements = tuple(range(n)) or None
    arrays = (Array(0, tuple(range(n))),) if n else (None,)
    return Job(JobRequest(stage, elements, 1, 1, 1, 1, 1, 1, None, None), arrays)


CHAIN = [job_of("tile", 40), job_of("extract", 40), job_of("train"), job_of("report")]


def limits(facts: QueueFacts, **settings: object) -> list[tuple[str, int, int, int]]:
    table = SlurmTable.model_validate(settings)
    return [(one.name, one.most, one.used, one.needed) for one in limits_on(CHAIN, facts, table)]


def test_every_element_counts_under_the_account_and_quality_of_its_stage() -> None:
    queue = "cores|normal\ncores|normal\ngpus|gpu\n"
    facts = QueueFacts(ASSOCIATIONS, "cores", "normal|50\nlong|\ngpu|7\n", queue)
    assert limits(facts) == [("account cores", 100, 2, 82), ("qos normal", 50, 2, 82)]
    assert limits(facts, extract={"account": "gpus"}) == [
        *(("account cores", 100, 2, 42), ("account gpus", 20, 1, 40)),
        *(("qos normal", 50, 2, 42), ("qos gpu", 7, 1, 40)),
    ]
    assert limits(facts, account="free", qos="long") == []
    assert limits(QueueFacts()) == []
    assert limits(replace(facts, account="gpus"))[0] == ("account gpus", 20, 1, 82)


def test_what_does_not_fit_is_refused_with_the_number_that_does() -> None:
    table = SlurmTable(account="gpus")
    for most, remedy in ((82, None), (81, "most_elements = 39, or send a part"), (3, "send a part")):
        facts = QueueFacts(parse_associations(f"gpus||{most}||"))
        if remedy is None:
            refuse_without_room(CHAIN, facts, table)
            continue
        with pytest.raises(InputError, match="no room for the whole chain") as caught:
            refuse_without_room(CHAIN, facts, table)
        assert f"account gpus: {most} jobs at once, 0 there, 82 more needed" in caught.value.offending
        assert caught.value.remedy is not None
        assert remedy in caught.value.remedy
        assert ("most_elements" in caught.value.remedy) == ("most_elements" in remedy)
