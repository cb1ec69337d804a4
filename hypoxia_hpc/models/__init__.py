"""A run's models: extraction, training jobs, search, clusterings, predictions."""
