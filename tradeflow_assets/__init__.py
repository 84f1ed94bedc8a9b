"""Tradeflow as a Dagster asset graph: thin assets over the steps of `tradeflow_core`."""

import warnings

from dagster import BetaWarning, PreviewWarning

# Parts of Dagster that are in beta (backfill policies, owners of sensors) are used knowingly; its version is pinned.
for category in (BetaWarning, PreviewWarning):
    warnings.filterwarnings("ignore", category=category)
