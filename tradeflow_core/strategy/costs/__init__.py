"""What trading costs, in money and in Sharpe-ratio units."""
