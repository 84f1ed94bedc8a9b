"""Which contracts' prices are collected, and when they expire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import numpy as np

from tradeflow_core.brokers import UnknownContract
from tradeflow_core.desk import Desk
from tradeflow_core.errors import DataError, StateError
from tradeflow_core.instruments import RollRule
from tradeflow_core.ledger import contract_facts, current_roll, record_contracts
from tradeflow_core.model import RollEvent, contract_label, find_adjacent_contract, month_number

DAYS_BEHIND = 100
"""For this many days after the first of its delivery month a contract is still sampled."""


def sampling_chain(
    current: Sequence[int], roll_rule: RollRule, now: datetime | date, *, known: Sequence[int] | None = None
) -> list[int]:
    """The contracts to sample, in order of delivery.

    They end one contract of the priced cycle after the furthest of `current` (priced, forward and carry contract), so that
    the next forward contract already has a history when it is needed, and begin with the first one whose month began
    less than 100 days before `now`. `known`: the ids that exist, where ids carry days. Raises DataError where `current`
    is empty.
    """
    if not current:
        raise DataError("no current contracts: the instrument needs a roll event before contracts can be collected")
    now = now.replace(tzinfo=None) if isinstance(now, datetime) else datetime.combine(now, datetime.min.time())
    oldest = now - timedelta(days=DAYS_BEHIND)
    chain: list[int] = []
    contract = find_adjacent_contract(max(current), roll_rule.priced, 1, known=known)
    contract = max(current) if contract is None else contract
    while contract is not None and _begins(contract) >= oldest:
        chain.append(contract)
        contract = find_adjacent_contract(contract, roll_rule.priced, -1, known=known)
    return chain[::-1]


def _begins(contract: int) -> datetime:
    month = month_number(contract)
    return datetime(month // 12, month % 12 + 1, contract % 100 or 1)


def roll_rule_of(desk: Desk, instrument: str) -> RollRule:
    """The roll rule of an instrument. Raises DataError where the tables have none."""
    rule = desk.instrument(instrument).roll_rule
    if rule is None:
        raise DataError(f"{instrument}: no roll rule; add a row for it to {desk.home.path / 'config' / 'rolls.csv'}")
    return rule


def update_sampled_contracts(desk: Desk, instrument: str) -> list[int]:
    """Bring the recorded contracts of an instrument up to date; returns the contracts to sample, in order.

    They are those of `sampling_chain`, with the broker's expiries. Sampling ends for a contract that expired before the last business day, has
    left the chain, or is unknown to the broker. An alert is sent when the priced, forward or carry contract has expired, or the priced one is
    unknown to the broker.
    """
    rule, now, today = roll_rule_of(desk, instrument), desk.now(), desk.today()
    with desk.ledger.read() as view:
        roll, recorded = current_roll(view, instrument), contract_facts(view, instrument)
    current = contracts_by_role(roll)
    listed = None
    if any(contract % 100 for contract in current.values()):  # ids with days: the rule alone does not say which exist
        listed = sorted({*recorded, *current.values(), *(spec.contract for spec in desk.broker.contracts(instrument))})
    chain = sampling_chain(list(current.values()), rule, now, known=listed)
    followed = sorted({*chain, *(contract for contract, (_, sampling) in recorded.items() if sampling)})
    # The bars of a contract's last trading day are fetched on the next business day.
    yesterday = np.busday_offset(today, -1, roll="forward").astype(date)
    facts: dict[int, tuple[date, bool]] = {}
    unknown = set()
    for contract in followed:
        try:
            expiry = desk.broker.contract(instrument, contract).expiry
            facts[contract] = (expiry, contract in chain and expiry >= yesterday)
        except UnknownContract:
            facts[contract] = (recorded[contract][0] if contract in recorded else rule.approximate_expiry(contract), False)
            unknown.add(contract)
    if changed := {contract: fact for contract, fact in facts.items() if recorded.get(contract) != fact}:
        with desk.ledger.begin() as tx:
            record_contracts(tx, instrument, changed, now=now)
    expiries = {contract: expiry for contract, (expiry, _) in (recorded | facts).items()}
    _alert_of_expired(desk, instrument, current, expiries=expiries, unknown=unknown)
    return [contract for contract, (_, sampling) in facts.items() if sampling]


def refresh_expiries(desk: Desk, instrument: str, contracts: Sequence[int]) -> None:
    """Record the expiries that the broker reports now; a contract that the broker no longer lists keeps the recorded expiry.

    Raises StateError for a contract that is neither listed by the broker nor recorded.
    """
    with desk.ledger.read() as view:
        recorded = contract_facts(view, instrument)
    facts = {}
    for contract in contracts:
        try:
            expiry = desk.broker.contract(instrument, contract).expiry
            facts[contract] = (expiry, recorded[contract][1] if contract in recorded else True)
        except UnknownContract as error:
            if contract not in recorded:
                raise StateError(
                    f"{instrument}: the broker has no contract {contract_label(contract)}; "
                    f"wait until it is listed, or correct the roll rule of {instrument}"
                ) from error
    if facts:
        with desk.ledger.begin() as tx:
            record_contracts(tx, instrument, facts, now=desk.now())


def _alert_of_expired(
    desk: Desk, instrument: str, current: Mapping[str, int], *, expiries: Mapping[int, date], unknown: set[int]
) -> None:
    """Alert where the priced, forward or carry contract has expired, or the priced one is unknown to the broker."""
    rule, now, today = roll_rule_of(desk, instrument), desk.now(), desk.today()
    for role, contract in current.items():
        subject = f"{instrument}: the {role} contract {contract_label(contract)}"
        if expiries.get(contract, rule.approximate_expiry(contract)) < today:
            message = f"{subject} has expired; roll now: `tradeflow roll set {instrument} Roll_Adjusted`"
            desk.alerts.send(f"expired contract {instrument}", message, now)
        elif contract in unknown and role == "priced":
            message = f"{subject} is unknown to the broker, so its prices are no longer collected; check the contract, or roll"
            desk.alerts.send(f"unknown contract {instrument}", message, now)


def contracts_by_role(roll: RollEvent) -> dict[str, int]:
    """The priced, forward and carry contract of a roll event."""
    return {"priced": roll.price_contract, "forward": roll.forward_contract, "carry": roll.carry_contract}
