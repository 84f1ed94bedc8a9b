"""From forecasts to positions of the portfolio, their risk, and their profit and loss."""
