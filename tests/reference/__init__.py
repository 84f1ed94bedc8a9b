"""Algorithms of the reference that tradeflow replaced by others: kept to hold ours against its figures, used by tests only."""
