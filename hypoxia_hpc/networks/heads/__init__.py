"""What is trained: top models, whole networks, clusterings; their loop, checkpoints and files."""
