"""A market as pure functions over pytrees, thousands at once."""
