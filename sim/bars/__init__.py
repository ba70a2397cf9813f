"""Environments on bars: directional, portfolio, pairs and execution agents on price processes with costs and impact."""
