"""What order flow says of prices: imbalances, price impact, informed trading and volatility, in NumPy."""
