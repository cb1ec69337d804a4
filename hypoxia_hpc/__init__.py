"""hypoxia_hpc: from whole-slide images of tumours to predictions about patients."""

__version__ = "0.1.0"
