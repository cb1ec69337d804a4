"""A run directory: its paths, keys, receipts, state and cohort."""
