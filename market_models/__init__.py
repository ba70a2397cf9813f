"""How prices, order flow, costs and delays behave; recorded data; calibration."""
