"""Invariants of the ledger: what must be true whatever happened. Each broken one is a sentence for a person."""

from __future__ import annotations

from sqlalchemy import Connection, Table, select, text

from tradeflow_core.ledger.control_history import KEYS
from tradeflow_core.ledger.facts import chain_problems
from tradeflow_core.ledger.orders import fixed_digest
from tradeflow_core.ledger.schema import (
    broker_order_legs,
    broker_orders,
    contract_order_legs,
    contract_orders,
    instrument_orders,
    order_events,
    shares,
)
from tradeflow_core.model import BrokerOrderStatus, Leg, OrderLevel, OrderStatus

_WORDS = {
    "open": OrderStatus.OPEN.value,
    "sending": BrokerOrderStatus.SENDING.value,
    "unknown": BrokerOrderStatus.UNKNOWN.value,
    "working": BrokerOrderStatus.WORKING.value,
    "cancelling": BrokerOrderStatus.CANCELLING.value,
}
"""The words of the model that the queries name."""

_RULES: list[tuple[str, str]] = [
    (
        "position of {instrument} {contract} in account {account} is {held}, the sum of its fills is {filled}",
        """select k.account, k.instrument, k.contract, coalesce(p.quantity, 0) as held, coalesce(f.quantity, 0) as filled
           from (select account, instrument, contract from contract_positions union select account, instrument, contract from fills) k
           left join contract_positions p on p.account = k.account and p.instrument = k.instrument and p.contract = k.contract
           left join (select account, instrument, contract, sum(change) as quantity from fills group by account, instrument, contract) f
             on f.account = k.account and f.instrument = k.instrument and f.contract = k.contract
           where coalesce(p.quantity, 0) <> coalesce(f.quantity, 0)""",
    ),
    (
        "position of {strategy} in {instrument} in account {account} is {held}, the sum of its allocations is {allocated}",
        """select k.account, k.strategy, k.instrument, coalesce(p.quantity, 0) as held, coalesce(f.quantity, 0) as allocated
           from (select account, strategy, instrument from strategy_positions union select account, strategy, instrument from allocations) k
           left join strategy_positions p on p.account = k.account and p.strategy = k.strategy and p.instrument = k.instrument
           left join (select account, strategy, instrument, sum(quantity) as quantity from allocations
                      group by account, strategy, instrument) f
             on f.account = k.account and f.strategy = k.strategy and f.instrument = k.instrument
           where coalesce(p.quantity, 0) <> coalesce(f.quantity, 0)""",
    ),
    (
        "{instrument} in account {account}: the fills add up to {filled}, their allocations to {allocated}",
        """select k.account, k.instrument, coalesce(f.quantity, 0) as filled, coalesce(l.quantity, 0) as allocated
           from (select account, instrument from fills union select account, instrument from allocations) k
           left join (select account, instrument, sum(change) as quantity from fills group by account, instrument) f
             on f.account = k.account and f.instrument = k.instrument
           left join (select account, instrument, sum(quantity) as quantity from allocations group by account, instrument) l
             on l.account = k.account and l.instrument = k.instrument
           where coalesce(f.quantity, 0) <> coalesce(l.quantity, 0)""",
    ),
    (
        "fill {exec_id} says that it changes the position by {change}, but it replaces {replaces}, which was {former}",
        """select a.exec_id, a.change, a.replaces, coalesce(b.quantity, 0) as former from fills a
           left join fills b on b.exec_id = a.replaces where a.change <> a.quantity - coalesce(b.quantity, 0)""",
    ),
    (
        "broker order {id} leg {leg} says {recorded} filled, its fills add up to {filled}",
        """select l.broker_order_id as id, l.leg, l.filled as recorded, coalesce(sum(f.change), 0) as filled
           from broker_order_legs l left join fills f on f.broker_order_id = l.broker_order_id and f.leg = l.leg
           group by l.broker_order_id, l.leg, l.filled having l.filled <> coalesce(sum(f.change), 0)""",
    ),
    (
        "contract order {id} contract {contract} says {recorded} filled, its broker orders add up to {filled}",
        """select l.contract_order_id as id, l.contract, l.filled as recorded, coalesce(sum(b.filled), 0) as filled
           from contract_order_legs l
           left join broker_orders o on o.contract_order_id = l.contract_order_id
           left join broker_order_legs b on b.broker_order_id = o.id and b.contract = l.contract
           group by l.contract_order_id, l.contract, l.filled having l.filled <> coalesce(sum(b.filled), 0)""",
    ),
    (
        "contract order {id} says {recorded} filled for instrument order {parent}, its allocations add up to {filled}",
        """select s.contract_order_id as id, s.instrument_order_id as parent, s.filled as recorded, coalesce(sum(a.quantity), 0) as filled
           from shares s left join allocations a
             on a.contract_order_id = s.contract_order_id and a.instrument_order_id = s.instrument_order_id
           group by s.contract_order_id, s.instrument_order_id, s.filled having s.filled <> coalesce(sum(a.quantity), 0)""",
    ),
    (
        "instrument order {id} says {recorded} filled, its shares of contract orders add up to {filled}",
        """select i.id, i.filled as recorded, coalesce(sum(s.filled), 0) as filled
           from instrument_orders i left join shares s on s.instrument_order_id = i.id
           group by i.id, i.filled having i.filled <> coalesce(sum(s.filled), 0)""",
    ),
    (
        "the shares of contract order {id} are {shared}, its legs are {quantity}",
        """select l.contract_order_id as id, l.quantity, coalesce(s.quantity, 0) as shared
           from (select contract_order_id, sum(quantity) as quantity from contract_order_legs group by contract_order_id) l
           left join (select contract_order_id, sum(quantity) as quantity from shares group by contract_order_id) s
             on s.contract_order_id = l.contract_order_id
           where l.quantity <> coalesce(s.quantity, 0)""",
    ),
    (
        "contract order {id} leg {leg} is filled {filled} of {quantity}, on the wrong side",
        """select contract_order_id as id, leg, filled, quantity from contract_order_legs where filled * quantity < 0""",
    ),
    (
        "client reference {client_ref} is used by {number} broker orders",
        "select client_ref, count(*) as number from broker_orders group by client_ref having count(*) > 1",
    ),
    (
        "execution {exec_id} is booked {number} times",
        "select exec_id, count(*) as number from fills group by exec_id having count(*) > 1",
    ),
    (
        "contract order {id} works for no instrument order",
        "select id from contract_orders where id not in (select contract_order_id from shares)",
    ),
    (
        "broker order {id} has no contract order",
        "select id from broker_orders where contract_order_id not in (select id from contract_orders)",
    ),
    (
        "contract order {id} is open below the closed instrument order {parent}",
        """select c.id, i.id as parent from contract_orders c join shares s on s.contract_order_id = c.id
           join instrument_orders i on i.id = s.instrument_order_id where c.status = :open and i.status <> :open""",
    ),
    (
        "contract order {id} has {number} broker orders at work at once",
        """select contract_order_id as id, count(*) as number from broker_orders where status in (:sending, :unknown, :working, :cancelling)
           group by contract_order_id having count(*) > 1""",
    ),
    (
        "roll events of {instrument} are not in order of time at event {id}",
        """select b.instrument, b.id from roll_events a join roll_events b on a.instrument = b.instrument
           and a.generation = b.generation and a.id < b.id
           where b.after is null or (a.after is not null and b.after <= a.after)""",
    ),
    *(
        (
            f"{control.replace('_', ' ')}: row {{id}} has an end without a name, or a name without an end",
            f"select id from {control} where (ended_at is null) <> (ended_by is null)",
        )
        for control in KEYS
    ),
    *(
        (
            f"{control.replace('_', ' ')}: {{number}} rows are in force at once for {', '.join(f'{name} {{{name}!r}}' for name in key)}",
            f"select {', '.join(key)}, count(*) as number from {control} where ended_at is null "
            f"group by {', '.join(key)} having count(*) > 1",
        )
        for control, key in KEYS.items()
    ),
]


def ledger_problems(view: Connection) -> list[str]:
    """Every broken invariant of the ledger as a sentence, and every fact that is not as it was written; empty when all is well."""
    return [*broken_rules(view), *_order_problems(view), *chain_problems(view)]


def broken_rules(view: Connection) -> list[str]:
    """Every broken rule of those that a query finds, as a sentence."""
    return [sentence.format(**row) for sentence, query in _RULES for row in view.execute(text(query), _WORDS).mappings()]


def _order_problems(view: Connection) -> list[str]:
    """Orders whose status is not the one of their last event, or whose fixed columns are not those that they were made with."""
    made: dict[tuple[str, int], str | None] = {}
    status: dict[tuple[str, int], str] = {}
    for event in view.execute(select(order_events).order_by(order_events.c.id)):
        key = (event.level, event.order_id)
        if event.before is None:
            made[key] = event.fixed
        status[key] = event.after
    legs = {
        OrderLevel.CONTRACT: _legs(view, contract_order_legs, "contract_order_id"),
        OrderLevel.BROKER: _legs(view, broker_order_legs, "broker_order_id"),
    }
    parts: dict[int, dict[int, int]] = {}
    for share in view.execute(select(shares)):
        parts.setdefault(share.contract_order_id, {})[share.instrument_order_id] = share.quantity
    problems = []
    for level, table in ORDER_TABLES.items():
        for row in view.execute(select(table)).mappings():
            key, order = (level, row["id"]), row["id"]
            of_order = parts.get(order) if level is OrderLevel.CONTRACT else None
            fixed = fixed_digest(dict(row), legs=legs[level].get(order, ()) if level in legs else (), parts=of_order)
            if made.pop(key, None) != fixed:
                problems.append(f"{level} order {order} is not as it was made")
            if row["status"] != status.get(key):
                problems.append(f"{level} order {order} is {row['status']}, by its last event it is {status.get(key)}")
    return [*problems, *(f"{level} order {order} is missing, its events are there" for level, order in made)]


ORDER_TABLES: dict[OrderLevel, Table] = {
    OrderLevel.INSTRUMENT: instrument_orders,
    OrderLevel.CONTRACT: contract_orders,
    OrderLevel.BROKER: broker_orders,
}


def _legs(view: Connection, table: Table, key: str) -> dict[int, list[Leg]]:
    legs: dict[int, list[Leg]] = {}
    for row in view.execute(select(table).order_by(table.c[key], table.c.leg)):
        legs.setdefault(getattr(row, key), []).append(Leg(row.contract, row.quantity))
    return legs
