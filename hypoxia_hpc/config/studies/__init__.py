"""The studies whose presets `init --study` knows: a file for each, and the registry of them."""
