"""Figures on their way to disk: files are tried before anything is measured, and each figure is kept at once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hypoxia_hpc.bench.records import Record, append_records, require_apart, require_history
from hypoxia_hpc.stores.commit import committed_file, require_writable


@dataclass(slots=True)
class Kept:
    """Where figures go: to the end of ``history``, and those of this time, as one list, into ``json_file``. ``records``
    are those that the history has by now."""

    history: Path
    json_file: Path | None = None
    records: list[Record] = field(default_factory=list)

    def require_places(self) -> None:
        """Try both files. Raises InputError where the history is no plain file, is another file, or is both of them;
        MachineError."""
        require_history(self.history)
        if self.json_file is not None:
            require_apart(self.history, self.json_file)
            require_writable(self.json_file)

    def add(self, record: Record | None) -> None:
        """Keep a figure; None: what was not measured. Raises as :meth:`require_places`."""
        if record is not None:
            append_records(self.history, [record])
            self.records.append(record)
        if self.json_file is not None:
            text = json.dumps([asdict(one) for one in self.records], indent=1) + "\n"
            committed_file(self.json_file, text.encode())
