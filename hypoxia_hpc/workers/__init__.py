"""Worker processes and MPI ranks, the share of each, what each says of itself."""
