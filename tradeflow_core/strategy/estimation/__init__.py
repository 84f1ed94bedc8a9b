"""Estimation: fit periods, correlations, optimisers, weights and diversification multipliers, as functions of plain data.

The same machine serves rules of an instrument and instruments of a portfolio. What is estimated and how is a section of the
strategy (`config.estimates`); `corrections` says which known flaws of the reference are corrected: by default none.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
