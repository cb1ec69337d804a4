"""Tile and feature stores on sharded Zarr v3, committed all or nothing."""
