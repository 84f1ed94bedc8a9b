"""The broker interface and its implementations."""

from tradeflow_core.brokers.base import (
    BAR_COLUMNS,
    AccountSnapshot,
    Broker,
    BrokerError,
    BrokerOrderStatus,
    BrokerUnavailable,
    ContractSpec,
    Execution,
    Leg,
    NoData,
    NoQuote,
    OrderIntent,
    OrderRejected,
    OrderState,
    Quote,
    UnknownContract,
    UnknownOrder,
)
from tradeflow_core.brokers.replay import ReplayBroker
from tradeflow_core.brokers.simulated import SimulatedBroker

__all__ = [
    "BAR_COLUMNS",
    "AccountSnapshot",
    "Broker",
    "BrokerError",
    "BrokerOrderStatus",
    "BrokerUnavailable",
    "ContractSpec",
    "Execution",
    "Leg",
    "NoData",
    "NoQuote",
    "OrderIntent",
    "OrderRejected",
    "OrderState",
    "Quote",
    "ReplayBroker",
    "SimulatedBroker",
    "UnknownContract",
    "UnknownOrder",
]
