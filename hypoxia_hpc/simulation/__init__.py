"""A simulation of a run on a cluster, which deals, sizes and requeues by the code that real runs use."""
