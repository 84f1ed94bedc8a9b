"""Which contracts' prices are collected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from tradeflow_core.errors import DataError
from tradeflow_core.instruments.contracts import RollRule, month_number, step_or_none

DAYS_BEHIND = 100
"""How long after the first of its delivery month a contract is still collected."""


def sampling_chain(
    current: Sequence[int], roll_rule: RollRule, now: datetime | date, known: Sequence[int] | None = None
) -> list[int]:
    """Contracts to collect prices of, in order of time.

    From one priced contract beyond the furthest of `current` (priced, forward and carry contract), so that the next
    forward contract already has a history when it is needed, back through the priced cycle to those whose month began
    less than 100 days before `now`. `known`: the ids that exist, where ids carry days. Raises DataError where `current`
    is empty.
    """
    if not current:
        raise DataError("no current contracts: the instrument needs a roll event before contracts can be collected")
    moment = now.replace(tzinfo=None) if isinstance(now, datetime) else datetime.combine(now, datetime.min.time())
    oldest = moment - timedelta(days=DAYS_BEHIND)
    chain: list[int] = []
    contract = step_or_none(max(current), roll_rule.priced, 1, known)
    contract = max(current) if contract is None else contract
    while contract is not None and _begins(contract) >= oldest:
        chain.append(contract)
        contract = step_or_none(contract, roll_rule.priced, -1, known)
    return chain[::-1]


def _begins(contract: int) -> datetime:
    month = month_number(contract)
    return datetime(month // 12, month % 12 + 1, contract % 100 or 1)
