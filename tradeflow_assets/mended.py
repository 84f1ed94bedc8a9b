"""What the jobs share that mend orders and positions: who says it, and how it is shown."""

import dagster as dg
import pandas as pd
from pydantic import Field

from tradeflow_assets.metadata import bullets, table
from tradeflow_core.execution import Mended


class Said(dg.Config):
    """Who mends something, and why."""

    why: str = Field(description="the reason, for the record")
    who: str = Field(default="dagster", description="your name, for the record")
    dry_run: bool = Field(default=False, description="only say what would be done")


def show_mended(context: dg.OpExecutionContext, config: Said, mended: Mended) -> None:
    """Log what was mended, or would be, and keep it with the run."""
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
