"""Curves of a training for TensorBoard: an event file, in which a training that goes on doubles no step.

tensorboardX says what an event is; the file is written here, each event with one unbuffered write, because its writers
hold events back, and wait for ever, or cannot be closed, once a disk is full.
Format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

from __future__ import annotations

import secrets
import struct
import time
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from hypoxia_hpc.reading import MOST_PREDICTIONS_BYTES, read_plain
from hypoxia_hpc.stores.commit import machine_errors, make_folder
from hypoxia_hpc.stores.shards import crc32c_of

if TYPE_CHECKING:
    from tensorboardX.proto.event_pb2 import Event

FILES = "events.out.tfevents.*"
VERSION = "brain.Event:2"
_LENGTH, _CRC = struct.Struct("<Q"), struct.Struct("<I")
_MASK = 0xA282EAD8


class TensorBoardCurves:
    """The event file of one model, in a folder of its own; used in a ``with`` block. It is a log: appended to, not
    committed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: FileIO | None = None

    def __enter__(self) -> TensorBoardCurves:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def begin(self, step: int) -> None:
        """Training goes on from this step, which lies before the last event where the checkpoint is older: keep only
        the events of earlier steps, in a new file. Raises MachineError."""
        from tensorboardX.proto.event_pb2 import Event

        with machine_errors(self._folder):
            make_folder(self._folder)
            old = sorted(self._folder.glob(FILES))
            kept = {(event.step, event.summary.value[0].tag): event for path in old for event in read_events(path)}
            name = FILES.replace("*", f"{int(time.time())}.{secrets.token_hex(4)}")
            self._file = (self._folder / name).open("xb", buffering=0)
            self._write(Event(wall_time=time.time(), file_version=VERSION))
            for event in kept.values():
                if event.step < step:
                    self._write(event)
            for path in old:
                path.unlink(missing_ok=True)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Values by name after a step, once training has begun. Raises MachineError."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in values.items()])
        with machine_errors(self._folder):
            self._write(Event(wall_time=time.time(), step=step, summary=summary))

    def _write(self, event: Event) -> None:
        if self._file is None:
            raise ValueError("begin comes before add")
        data = event.SerializeToString()
        length = _LENGTH.pack(len(data))
        self._file.write(length + _masked_crc(length) + data + _masked_crc(data))


def read_events(path: Path) -> Iterator[Event]:
    """The events with values of a file, in the order they were written, up to where it was cut off or is damaged."""
    from tensorboardX.proto.event_pb2 import Event

    data = read_plain(path, MOST_PREDICTIONS_BYTES)
    at = 0
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        start = at + _LENGTH.size + _CRC.size
        at = start + length + _CRC.size
        content = data[start : start + length]
        if data[start + length : at] != _masked_crc(content):
            return
        event = Event.FromString(content)
        if event.summary.value:
            yield event


def _masked_crc(data: bytes) -> bytes:
    (crc,) = _CRC.unpack(crc32c_of(data))
    return _CRC.pack(((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)
