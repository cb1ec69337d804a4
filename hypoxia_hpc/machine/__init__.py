"""What this machine has: cores, GPUs, disks, programs."""
