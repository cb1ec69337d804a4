"""What every table of run.toml is made of: how it is validated, what of it enters a key, types of its entries."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

from hypoxia_hpc.records import Json

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
LINE_PATTERN = r"^[^\x00-\x1f\x7f]+$"
# The name of a network: of this package, of keras.applications, of an entry point, or timm's behind "timm:".
NETWORK_PATTERN = r"^(timm:)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
# The same of [extract], where features of another tool may stand in place of a network.
FEATURES_PATTERN = r"^(timm:|imported:)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# Goes into scripts, quoted: one line, nothing that a terminal would obey.
Word = Annotated[str, Field(min_length=1, max_length=4096, pattern=LINE_PATTERN)]

# ``json_schema_extra`` of an entry that a table got after its first release: Field(3, ..., json_schema_extra=ADDED).
ADDED: dict[str, Any] = {"added": True}


class Table(BaseModel):
    """A table of run.toml: frozen, closed to keys it does not know and to values of another type ("299", true); lists
    alone, TOML's arrays, become tuples."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    def keyed(self, exclude: Collection[str] = ()) -> Json:
        """The entries that a key is made of: all but ``exclude`` and those that are `ADDED` and have their default.

        So a new entry changes no key of before: a store that is made with its default is what it was without it.
        """
        left_out = {name for name, info in type(self).model_fields.items() if self._is_as_before(name, info)}
        return self.model_dump(mode="json", exclude=left_out | set(exclude))

    def _is_as_before(self, name: str, info: FieldInfo) -> bool:
        return info.json_schema_extra == ADDED and getattr(self, name) == info.default
