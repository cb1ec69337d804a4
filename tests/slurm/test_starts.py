"""Begin and end of jobs, from the lines of sacct."""

from __future__ import annotations

from hypoxia_hpc.slurm.starts import parse_starts

# Element 0 was preempted and began anew; element 1 runs; element 2 never began.
LINES = """
17_0|2026-03-01T10:00:00|2026-03-01T10:00:04|2026-03-01T10:00:30
17_0|2026-03-01T10:00:30|2026-03-01T10:02:31|2026-03-01T10:03:31
17_1|2026-03-01T10:00:00|2026-03-01T10:00:04|Unknown
17_2|2026-03-01T10:00:00|None|2026-03-01T10:00:09
sacct: note
"""


def test_every_start_that_is_over_in_seconds() -> None:
    first, second = parse_starts(LINES)
    assert {first.job, second.job} == {"17_0"}
    assert (first.began - first.sent, first.ended - first.began) == (4, 26)
    assert (second.sent - first.sent, second.began - second.sent, second.ended - second.began) == (30, 121, 60)
