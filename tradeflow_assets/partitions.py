"""How assets are cut: the price chain has one partition an instrument of the home's universe; everything else is one piece.

A date range is not a partition but run configuration (`start`, `end`, `full_refresh`): instruments times days would be millions of keys.
"""

from collections.abc import Mapping, Sequence

import dagster as dg
from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG


def instrument_partitions(codes: Sequence[str]) -> dg.StaticPartitionsDefinition:
    """One partition for each instrument code, in the order given."""
    return dg.StaticPartitionsDefinition(list(codes))


def range_tags(codes: Sequence[str]) -> Mapping[str, str]:
    """Tags of a run over all partitions from the first to the last of `codes`, which must lie side by side in the definition."""
    return {ASSET_PARTITION_RANGE_START_TAG: codes[0], ASSET_PARTITION_RANGE_END_TAG: codes[-1]}
