"""How a device was kept busy: sums over the receipts of extract. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypoxia_hpc.records import ExtractWork, Receipt


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """Seconds that passed on devices, those of them in which one had nothing to do for want of tiles, and bytes of
    tile stores that were read; all 0 where receipts do not say it."""

    device_seconds: float = 0.0
    waited_seconds: float = 0.0
    bytes_read: int = 0

    def __add__(self, other: DeviceTime) -> DeviceTime:
        return DeviceTime(
            self.device_seconds + other.device_seconds,
            self.waited_seconds + other.waited_seconds,
            self.bytes_read + other.bytes_read,
        )

    @property
    def waited_share(self) -> float | None:
        """Share of the device's time in which it waited, 0..1; None where there is none."""
        return self.waited_seconds / self.device_seconds if self.device_seconds else None


def device_time_of(receipts: Iterable[Receipt]) -> DeviceTime:
    """The sum over receipts."""
    return sum((_of(receipt) for receipt in receipts), DeviceTime())


def _of(receipt: Receipt) -> DeviceTime:
    work = receipt.details
    if not isinstance(work, ExtractWork):
        return DeviceTime()
    return DeviceTime(work.device_seconds, work.waited_seconds, work.bytes_read or 0)
