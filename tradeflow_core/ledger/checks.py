"""Invariants of the ledger: what must be true whatever happened. Each broken one is a sentence for a person."""

from __future__ import annotations

from sqlalchemy import Connection, text

from tradeflow_core.ledger.control_history import KEYS
from tradeflow_core.model import ROLLS, BrokerOrderStatus, OrderStatus

_WORDS = {
    "rolls": ROLLS,
    "open": OrderStatus.OPEN.value,
    "sending": BrokerOrderStatus.SENDING.value,
    "unknown": BrokerOrderStatus.UNKNOWN.value,
    "working": BrokerOrderStatus.WORKING.value,
}
"""The words of the model that the queries name."""

_RULES: list[tuple[str, str]] = [
    (
        "position of {instrument} {contract} in account {account} is {held}, the sum of its fills is {filled}",
        """select k.account, k.instrument, k.contract, coalesce(p.quantity, 0) as held, coalesce(f.quantity, 0) as filled
           from (select account, instrument, contract from contract_positions union select account, instrument, contract from fills) k
           left join contract_positions p on p.account = k.account and p.instrument = k.instrument and p.contract = k.contract
           left join (select account, instrument, contract, sum(quantity) as quantity from fills group by account, instrument, contract) f
             on f.account = k.account and f.instrument = k.instrument and f.contract = k.contract
           where coalesce(p.quantity, 0) <> coalesce(f.quantity, 0)""",
    ),
    (
        "position of strategy {strategy} in {instrument} is {held}, the sum of its fills is {filled}",
        """select k.strategy, k.instrument, coalesce(p.quantity, 0) as held, coalesce(f.quantity, 0) as filled
           from (select strategy, instrument from strategy_positions union select strategy, instrument from fills) k
           left join strategy_positions p on p.strategy = k.strategy and p.instrument = k.instrument
           left join (select strategy, instrument, sum(quantity) as quantity from fills group by strategy, instrument) f
             on f.strategy = k.strategy and f.instrument = k.instrument
           where coalesce(p.quantity, 0) <> coalesce(f.quantity, 0)""",
    ),
    (
        "broker order {id} leg {leg} says {recorded} filled, its fills add up to {filled}",
        """select l.broker_order_id as id, l.leg, l.filled as recorded, coalesce(sum(f.quantity), 0) as filled
           from broker_order_legs l left join fills f on f.broker_order_id = l.broker_order_id and f.leg = l.leg
           group by l.broker_order_id, l.leg, l.filled having l.filled <> coalesce(sum(f.quantity), 0)""",
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
        "instrument order {id} says {recorded} filled, its contract orders add up to {filled}",
        """select i.id, i.filled as recorded, coalesce(sum(l.filled), 0) as filled
           from instrument_orders i
           left join contract_orders c on c.instrument_order_id = i.id
           left join contract_order_legs l on l.contract_order_id = c.id
           where i.strategy <> :rolls group by i.id, i.filled having i.filled <> coalesce(sum(l.filled), 0)""",
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
        "contract order {id} has no instrument order",
        "select id from contract_orders where instrument_order_id not in (select id from instrument_orders)",
    ),
    (
        "broker order {id} has no contract order",
        "select id from broker_orders where contract_order_id not in (select id from contract_orders)",
    ),
    (
        "contract order {id} is open below the closed instrument order {parent}",
        """select c.id, i.id as parent from contract_orders c join instrument_orders i on i.id = c.instrument_order_id
           where c.status = :open and i.status <> :open""",
    ),
    (
        "contract order {id} has {number} broker orders at work at once",
        """select contract_order_id as id, count(*) as number from broker_orders where status in (:sending, :unknown, :working)
           group by contract_order_id having count(*) > 1""",
    ),
    (
        "the roll position of {instrument} is {quantity} although no roll order is open",
        """select instrument, quantity from strategy_positions where strategy = :rolls and quantity <> 0
           and instrument not in (select instrument from instrument_orders where strategy = :rolls and status = :open)""",
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
    """Every broken invariant of the ledger as a sentence; empty when all hold."""
    return [sentence.format(**row) for sentence, query in _RULES for row in view.execute(text(query), _WORDS).mappings()]
