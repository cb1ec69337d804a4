"""Models that are trained: heads on features, whole networks, clusterings; their loop, checkpoints and files."""
