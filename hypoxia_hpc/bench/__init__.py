"""The benchmark suite: one table of cases, timed against bounds and peers in paired rounds; records; comparisons."""
