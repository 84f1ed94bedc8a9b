"""Small programs for whoever works on tradeflow."""
