"""Features that other tools made, read from their files: a file for each step."""
