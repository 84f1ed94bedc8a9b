from .base import (
    BAR_COLUMNS as BAR_COLUMNS,
    ENDED_ORDERS_REPORTED as ENDED_ORDERS_REPORTED,
    AccountSnapshot as AccountSnapshot,
    Broker as Broker,
    BrokerError as BrokerError,
    BrokerUnavailable as BrokerUnavailable,
    ContractSpec as ContractSpec,
    ExecutionsSnapshot as ExecutionsSnapshot,
    Health as Health,
    MarginChange as MarginChange,
    NoData as NoData,
    NoQuote as NoQuote,
    OrderRejected as OrderRejected,
    OrdersSnapshot as OrdersSnapshot,
    OrderState as OrderState,
    Quote as Quote,
    SessionLost as SessionLost,
    UnknownContract as UnknownContract,
    UnknownOrder as UnknownOrder,
)
from .paper.faults import FaultyBroker as FaultyBroker
from .paper.replayed import ReplayBroker as ReplayBroker
from .paper.simulated import SimulatedBroker as SimulatedBroker
