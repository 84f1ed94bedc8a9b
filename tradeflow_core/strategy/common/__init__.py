"""What every part of a backtest uses: tables on a business-day calendar, volatility, groups, smoothing of weights."""
