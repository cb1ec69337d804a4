"""One page per stage: read, call the pure parts, commit."""
