"""What a run has, in the formats of other tools: a file for each format."""
