"""Synthetic slides and cohorts with a planted signal."""
