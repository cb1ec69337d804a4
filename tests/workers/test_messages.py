"""Messages between ranks: each comes out as it went in, and what is none ends the job with a clear error."""

from __future__ import annotations

import json

import pytest

from hypoxia_hpc.errors import MachineError
from hypoxia_hpc.records import ExtractWork, Receipt
from hypoxia_hpc.workers.messages import (
    Dealt,
    Ended,
    FromRoot,
    GivenBack,
    Processed,
    StopRequested,
    Ticked,
    ToRoot,
    WorkerFree,
    decode,
    encode,
)

RECEIPT = Receipt("s1", "done", "key", rows=3, seconds=1.5, details=ExtractWork(2, "cpu", 16, note="smaller"))


@pytest.mark.parametrize(
    "message",
    [
        WorkerFree(),
        Processed(RECEIPT, fresh=True),
        Processed(Receipt("s2", "quarantined", "key", reason="internal-error"), fresh=True, bug=True),
        GivenBack("s1"),
        Ticked(1000),
        StopRequested(),
        Dealt("s1"),
        Ended(3),
    ],
)
def test_a_message_comes_out_as_it_went_in(message: ToRoot | FromRoot) -> None:
    assert decode(encode(message), 1) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stop",
        "7",
        "[]",
        "{}",
        json.dumps({"kind": "Restart"}),
        json.dumps({"stop": True}),
        json.dumps({"kind": "Dealt"}),
        json.dumps({"kind": "Dealt", "slide_id": "s1", "more": 1}),
        json.dumps({"kind": "Processed", "receipt": {"slide_id": "s1"}, "fresh": True, "bug": False}),
        json.dumps({"kind": ["Dealt"]}),
    ],
)
def test_what_is_no_message_says_who_sent_it(text: str) -> None:
    with pytest.raises(MachineError, match=r"rank 3 sent .* no message for this rank") as found:
        decode(text, 3)
    assert "same installation" in found.value.remedy
