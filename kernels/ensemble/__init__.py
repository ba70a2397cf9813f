"""Inference of the exported ensemble without JAX."""
