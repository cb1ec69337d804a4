"""Words that sbatch takes apart: what SLURM takes passes, the rest is refused with the rule and what is wrong."""

from __future__ import annotations

import pytest

from hypoxia_hpc.config.slurm_words import host_list, mail_types


@pytest.mark.parametrize(
    "text",
    ["n1", "n[1-4]", "n[01-04,7],gpu-a.example", "r[1-2]n[3-4]-ib", "n[5-5]", "n[1,3]", "a_b,n1-4", "./nodes", "/n[1"],
)
def test_lists_of_nodes(text: str) -> None:
    assert host_list(text) == text


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        *(("n[1", "'n[1'"), ("n1]", "'n1]'"), ("n[]", r"'n\[\]'"), ("n[1-]", "no such name"), ("n[1,,2]", "no such")),
        *(("n1,", "''"), (",n1", "''"), ("n1,,n2", "''"), ("n1, n2", "' n2'"), ("n1 n2", "no such name")),
        *(("n[4-1]", "a range that falls: 4-1"), ("n[a-b]", "no such name"), ("n[[1]]", "no such name")),
        *(
            ("n[\u0661]", "no such name"),
            ("n;m", "'n;m'"),
            ("n[1-99999999999]", "no such name"),
            ("n[1-2-3]", "no such"),
        ),
    ],
)
def test_no_list_of_nodes(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=r"as \"n1,gpu\[01-04,7\]\"; .*" + wrong.replace("'n[1'", r"'n\[1'")):
        host_list(text)


def test_occasions_of_mail() -> None:
    for text in ("END", "END,FAIL", "begin,Time_Limit_80", "ALL,ARRAY_TASKS", "INVALID_DEPEND,STAGE_OUT,NONE"):
        assert mail_types(text) == text
    for text, wrong in (("nope", "'nope'"), ("END,,FAIL", "''"), ("END, FAIL", "' FAIL'"), ("END;FAIL", "'END;FAIL'")):
        with pytest.raises(ValueError, match=f"must be of NONE, BEGIN.*none of these: {wrong}"):
            mail_types(text)
