"""[report]: what the page shows."""

from __future__ import annotations

from pydantic import Field

from hypoxia_hpc.config.base import Table


class ReportTable(Table):
    """[report]: what the page shows."""

    thumbnails: int = Field(100, ge=0, le=10000, description="slides shown with their kept tiles drawn on them")
