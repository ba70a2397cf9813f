"""Pre-trade risk checks: one numba call over a batch of intents, with a plain Python reference."""
