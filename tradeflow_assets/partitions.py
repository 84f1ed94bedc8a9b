"""How assets are cut: the price chain has one partition an instrument of the home's universe; everything else is one piece.

A date range is not a partition but run configuration (`start`, `end`, `full_refresh`): instruments times days would be millions of keys.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags by which Dagster runs a range of partitions at once; it has no public name for them."""


def instrument_partitions(codes: Sequence[str]) -> dg.StaticPartitionsDefinition:
    """One partition for each instrument code, in the order given."""
    return dg.StaticPartitionsDefinition(list(codes))


def range_tags(codes: Sequence[str]) -> Mapping[str, str]:
    """Tags of a run over all partitions from the first to the last of `codes`, which must lie side by side in the definition."""
    return {RANGE_START: codes[0], RANGE_END: codes[-1]}


def why_outdated(made_for: Sequence[str], universe: Sequence[str]) -> str | None:
    """Why no run over these partitions is asked for: they were `made_for` another universe than the present one. None where they fit.

    Everything else in a home's files counts from the next run on, since each run opens the home anew.
    """
    if list(made_for) == list(universe):
        return None
    changed = ", ".join(sorted(set(made_for) ^ set(universe))[:5]) or "the regions"
    return (
        f"the universe of this home has changed since Dagster was started ({changed}): reload the definitions (in the UI: Deployment, Reload) "
        "or restart `make ui`, then launch the job prices"
    )
