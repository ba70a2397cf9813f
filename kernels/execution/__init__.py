"""From a decision to messages: one implementation for the simulator (jax.numpy) and for live (numpy)."""
