"""Patients, labels, barcodes, splits: pure functions on tables."""
