"""What predictions are worth: metrics, baselines, tests and warnings of every kind of outcome. Pure."""
