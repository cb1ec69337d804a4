"""Numba kernels over packed pixels, planes and blocks."""
