"""Regimes of a market: a hidden Markov model whose filtered label is a feature, and change points after the fact."""
