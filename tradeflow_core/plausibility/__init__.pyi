from .bars import (
    SPIKE as SPIKE,
    YOUNG as YOUNG,
    Series as Series,
    doubtful_bars as doubtful_bars,
    refused_batch as refused_batch,
    wrong_times as wrong_times,
)
from .facts import doubtful_facts as doubtful_facts
from .finding import Finding as Finding
from .histories import doubtful_history as doubtful_history
from .rates import (
    doubtful_rates as doubtful_rates,
    rates_beside_futures as rates_beside_futures,
)
