"""Entries that the tables of several heads share."""

from __future__ import annotations

from typing import Literal

Balance = Literal["sample", "weight", "none"]
BALANCE_DESCRIPTION = (
    '"sample": the smaller class is drawn as often as the larger; "weight": its loss counts more; "none": as they come'
)
PATIENCE_DESCRIPTION = (
    "stop when the loss on validation patients has not fallen for this number of epochs, and keep the best; "
    "default: never"
)
