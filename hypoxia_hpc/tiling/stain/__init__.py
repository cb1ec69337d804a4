"""Stain normalisation: what a slide is dyed with is fitted, and its pixels are given the colours of a reference."""
