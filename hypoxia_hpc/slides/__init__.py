"""Slide files: geometry, readers, synthetic slides."""
