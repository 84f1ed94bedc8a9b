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
"""How long after the first of its delivery month a contract is still collected."""


def sampling_chain(
    current: Sequence[int], roll_rule: RollRule, now: datetime | date, *, known: Sequence[int] | None = None
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
    contract = find_adjacent_contract(max(current), roll_rule.priced, 1, known=known)
    contract = max(current) if contract is None else contract
    while contract is not None and _begins(contract) >= oldest:
        chain.append(contract)
        contract = find_adjacent_contract(contract, roll_rule.priced, -1, known=known)
    return chain[::-1]


def _begins(contract: int) -> datetime:
    month = month_number(contract)
    return datetime(month // 12, month % 12 + 1, contract % 100 or 1)


def roll_rule_of(desk: Desk, code: str) -> RollRule:
    """The roll rule of an instrument. Raises DataError where the tables have none."""
    rule = desk.instrument(code).roll_rule
    if rule is None:
        raise DataError(f"{code}: no roll rule; add a row for it to {desk.home.path / 'config' / 'rolls.csv'}")
    return rule


def update_sampled_contracts(desk: Desk, code: str) -> list[int]:
    """Bring the contract table of an instrument up to date; returns the contracts to sample, in order.

    The chain reaches from 100 days behind to one priced contract beyond the furthest current one; expiries are the broker's. Sampling ends
    for a contract that expired before the last business day, has left the chain, or that the broker does not know. An alert goes out when
    the priced, forward or carry contract has expired, or the priced one is unknown to the broker.
    """
    rule, now, today = roll_rule_of(desk, code), desk.now(), desk.today()
    with desk.ledger.read() as view:
        current, known = current_roll(view, code), contract_facts(view, code)
    keys = roles_of(current)
    listed = None
    if any(contract % 100 for contract in keys.values()):  # ids with days: which exist only the broker and our own table know
        listed = sorted({*known, *keys.values(), *(spec.contract for spec in desk.broker.contracts(code))})
    chain = sampling_chain(list(keys.values()), rule, now, known=listed)
    followed = sorted({*chain, *(contract for contract, (_, sampling) in known.items() if sampling)})
    # The bars of a contract's last trading day come in on the morning after it.
    yesterday = np.busday_offset(today, -1, roll="forward").astype(date)
    facts: dict[int, tuple[date, bool]] = {}
    unknown = set()
    for contract in followed:
        try:
            expiry = desk.broker.contract(code, contract).expiry
            facts[contract] = (expiry, contract in chain and expiry >= yesterday)
        except UnknownContract:
            facts[contract] = (known[contract][0] if contract in known else rule.approximate_expiry(contract), False)
            unknown.add(contract)
    if changed := {contract: fact for contract, fact in facts.items() if known.get(contract) != fact}:
        with desk.ledger.begin() as tx:
            record_contracts(tx, code, changed, now=now)
    expiries = {contract: expiry for contract, (expiry, _) in (known | facts).items()}
    _tell_of_the_end(desk, code, keys, expiries=expiries, unknown=unknown)
    return [contract for contract, (_, sampling) in facts.items() if sampling]


def refresh_expiries(desk: Desk, code: str, contracts: Sequence[int]) -> None:
    """Record the last trading days of contracts as the broker tells them now; one that it has forgotten keeps the recorded day.

    Raises StateError for a contract that neither the broker nor our own table knows: it does not exist.
    """
    with desk.ledger.read() as view:
        known = contract_facts(view, code)
    facts = {}
    for contract in contracts:
        try:
            facts[contract] = (desk.broker.contract(code, contract).expiry, known[contract][1] if contract in known else True)
        except UnknownContract as error:
            if contract not in known:
                raise StateError(
                    f"{code}: the broker has no contract {contract_label(contract)}; wait until it is listed, or correct the roll rule of {code}"
                ) from error
    if facts:
        with desk.ledger.begin() as tx:
            record_contracts(tx, code, facts, now=desk.now())


def _tell_of_the_end(desk: Desk, code: str, keys: Mapping[str, int], *, expiries: Mapping[int, date], unknown: set[int]) -> None:
    """Alert where the priced, forward or carry contract has expired, or the priced one is unknown to the broker."""
    rule, now, today = roll_rule_of(desk, code), desk.now(), desk.today()
    for role, contract in keys.items():
        what = f"{code}: the {role} contract {contract_label(contract)}"
        if expiries.get(contract, rule.approximate_expiry(contract)) < today:
            message = f"{what} has expired; roll now: `tradeflow roll set {code} Roll_Adjusted`"
            desk.alerts.send(f"expired contract {code}", message, now)
        elif contract in unknown and role == "priced":
            message = f"{what} is unknown to the broker, so its prices are no longer collected; check the contract, or roll"
            desk.alerts.send(f"unknown contract {code}", message, now)


def roles_of(roll: RollEvent) -> dict[str, int]:
    """The contracts of a roll by what they are."""
    return {"priced": roll.price_contract, "forward": roll.forward_contract, "carry": roll.carry_contract}
