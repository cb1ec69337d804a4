"""The cases, a file a topic: see registry.py."""
