"""Risk: pre-trade checks in one numba call, stops, trading states, and a portfolio's VaR, ES and their backtests."""
