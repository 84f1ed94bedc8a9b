"""Partitions: the price chain has one for each instrument of the home's universe; other assets have none.

A date range is not a partition but run configuration (`start`, `end`, `full_refresh`): instruments times days would be millions of keys.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags by which Dagster runs a range of partitions at once; it has no public name for them."""


def instrument_partitions(instruments: Sequence[str]) -> dg.StaticPartitionsDefinition:
    """One partition for each instrument code, in the order given."""
    return dg.StaticPartitionsDefinition(list(instruments))


def range_tags(instruments: Sequence[str]) -> Mapping[str, str]:
    """Tags of a run over all partitions from the first to the last of `instruments`, which must be adjacent in the definition."""
    return {RANGE_START: instruments[0], RANGE_END: instruments[-1]}


def why_partitions_outdated(made_for: Sequence[str], universe: Sequence[str]) -> str | None:
    """Why the partitions are outdated: they were `made_for` another universe than the present one. None if they fit.

    Other changes of a home's files count from the next run on, since each run opens the home again.
    """
    if list(made_for) == list(universe):
        return None
    changed = ", ".join(sorted(set(made_for) ^ set(universe))[:5]) or "the regions"
    return (
        f"the universe of this home has changed since Dagster was started ({changed}): reload the definitions (in the UI: Deployment, Reload) "
        "or restart `make ui`, then launch the job prices"
    )
