"""What the jobs share by which a person mends something: who says it, and how it is done and shown."""

from collections.abc import Callable

import dagster as dg
import pandas as pd
from pydantic import Field

from tradeflow_assets.failures import errors_as_failures
from tradeflow_assets.metadata import bullets, table
from tradeflow_core.execution import ByHand, Mended


class Said(dg.Config):
    """Who mends something, and why."""

    why: str = Field(description="the reason, for the record")
    who: str = Field(default="dagster", description="your name, for the record")
    dry_run: bool = Field(default=False, description="only say what would be done")

    @property
    def by(self) -> ByHand:
        """The same for the core."""
        return ByHand(self.who, self.why, dry_run=self.dry_run)


class ByForce(Said):
    """Who mends something, and why, and whether it is done all the same where something speaks against it."""

    force: bool = Field(default=False, description="although something speaks against it")

    @property
    def by(self) -> ByHand:
        """The same for the core."""
        return ByHand(self.who, self.why, dry_run=self.dry_run, force=self.force)


def mend(context: dg.OpExecutionContext, config: Said, change: Callable[[], Mended]) -> None:
    """Make a change; log what was mended, or would be, and keep it with the run."""
    with errors_as_failures():
        mended = change()
    for warning in mended.warnings:
        context.log.warning(warning)
    context.log.info("\n".join([f"{'' if mended.done else 'would do: '}{mended.about}", *mended.notes]))
    positions = pd.DataFrame(
        [(each.instrument, each.whose, each.before, each.after, each.broker) for each in mended.positions],
        columns=["instrument", "of", "before", "after", "at_the_broker"],
    )
    context.add_output_metadata(
        {
            "about": mended.about,
            "positions": table(positions.astype({"at_the_broker": "float64"})),
            "number": mended.number or "none",
            "notes": bullets(mended.notes),
            "done": mended.done,
            "who": config.who,
            "why": config.why,
            "warnings": bullets(mended.warnings),
        }
    )
