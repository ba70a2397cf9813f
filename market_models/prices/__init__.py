"""Price processes at bar frequency, for directional, portfolio and pairs agents; `registry.py` lists them."""
