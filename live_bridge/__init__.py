"""Serves decisions, refuses when it should, records what it did; never imports JAX."""
