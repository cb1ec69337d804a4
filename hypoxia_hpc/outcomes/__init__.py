"""What can be asked of a patient: one file a kind of outcome."""
