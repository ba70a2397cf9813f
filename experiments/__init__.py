"""Every command a person runs: the composition root."""
