"""Features of a market-making policy, the same code for the simulator (jax.numpy) and for live (numpy)."""
