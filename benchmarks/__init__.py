"""Every figure that tradeflow is measured by: `make bench`."""
