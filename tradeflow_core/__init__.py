"""The trading business: prices, strategies, orders, execution. Knows nothing of Dagster."""

__version__ = "0.1.0"
