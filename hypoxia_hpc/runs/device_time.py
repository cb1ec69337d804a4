"""How a device was kept busy, and what threads did: sums over receipts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hypoxia_hpc.records import ExtractWork, Receipt, ThreadSeconds, TileWork


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


def threads_of(receipts: Iterable[Receipt]) -> ThreadSeconds:
    """What the threads of these slides did, summed, as far as their receipts say it."""
    found = [one.details.thread_seconds for one in receipts if isinstance(one.details, TileWork | ExtractWork)]
    return sum((one for one in found if one is not None), ThreadSeconds())


def _of(receipt: Receipt) -> DeviceTime:
    work = receipt.details
    if not isinstance(work, ExtractWork):
        return DeviceTime()
    return DeviceTime(work.device_seconds, work.waited_seconds, work.bytes_read or 0)
