"""What a backtest has to show: curves, statistics, turnover, the summary and the tear sheet."""
