"""One `Instrument` per futures market: its point size and currency, costs and roll rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tradeflow_core.instruments.roll_rule import RollRule


@dataclass(frozen=True, slots=True)
class Costs:
    """Trading costs of one instrument.

    `spread_cost`: half of the usual bid-ask spread, in price points (paid once per fill).
    The commission of a fill is the **maximum** of these three, in the instrument's currency:
    `per_block` per contract, `percentage` as a fraction of the traded value, `per_trade` flat.
    """

    spread_cost: float = 0.0
    per_block: float = 0.0
    percentage: float = 0.0
    per_trade: float = 0.0

    def commission(self, quantity: float, price: float, point_size: float) -> float:
        """Commission in instrument currency of a fill of `quantity` contracts at `price`."""
        contracts = abs(quantity)
        return max(self.per_block * contracts, self.percentage * contracts * abs(price) * point_size, self.per_trade)


@dataclass(frozen=True, slots=True)
class Instrument:
    """A futures market.

    `point_size`: money, in `currency`, that one contract moves when the price moves by 1.0.
    `region`: US, EMEA or ASIA. `session`: key of its trading hours in the sessions table
    (None where hours are unknown). `tick`: smallest price step (0 where unknown).
    `earlier_currencies`: last day and currency, by day, where prices were in another currency than `currency` once.
    """

    code: str
    description: str
    asset_class: str
    region: str
    currency: str
    point_size: float
    costs: Costs
    roll_rule: RollRule | None
    session: str | None = None
    tick: float = 0.0
    earlier_currencies: tuple[tuple[date, str], ...] = ()

    @property
    def currencies(self) -> tuple[str, ...]:
        """Every currency that it ever had, the present one at the end."""
        return (*(currency for _, currency in self.earlier_currencies), self.currency)

    def is_on_currency(self, currency: str) -> bool:
        """Whether it is a future on that currency, priced in dollars for one unit of it: its code begins with the currency."""
        return self.asset_class == "FX" and self.currency == "USD" and self.code[:3] == currency
