"""The formats that `export` writes, by name."""

from __future__ import annotations

from collections.abc import Mapping

from hypoxia_hpc.exports import anndata_files, atlaspatch, clam, dicom_files, qupath, stamp, tables, trident
from hypoxia_hpc.exports.slide import Format

FORMATS: Mapping[str, Format] = {
    one.name: one
    for one in (
        *(qupath.TILES, qupath.REGIONS, tables.CSV, tables.PARQUET, anndata_files.FORMAT),
        *(clam.FORMAT, trident.FORMAT, atlaspatch.FORMAT, stamp.FORMAT),
        *(dicom_files.SEGMENTATION, dicom_files.MAP),
    )
}
