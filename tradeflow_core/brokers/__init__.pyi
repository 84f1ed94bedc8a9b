from .base import (
    BAR_COLUMNS as BAR_COLUMNS,
    AccountSnapshot as AccountSnapshot,
    Broker as Broker,
    BrokerError as BrokerError,
    BrokerUnavailable as BrokerUnavailable,
    ContractSpec as ContractSpec,
    NoData as NoData,
    NoQuote as NoQuote,
    OrderRejected as OrderRejected,
    OrderState as OrderState,
    Quote as Quote,
    UnknownContract as UnknownContract,
    UnknownOrder as UnknownOrder,
)
from .paper.replayed import ReplayBroker as ReplayBroker
from .paper.simulated import SimulatedBroker as SimulatedBroker
