"""Numba kernels over pixels."""
