"""What SLURM is asked for, the job script, limits, queue."""
