"""Backbones and top models on Keras."""
