"""What ``import hypoxia_hpc as hx`` exports: slides, tiles, features, models and runs as Python objects."""
