"""The report of a business day: what was traded, what is held, what the account is worth."""

from __future__ import annotations

from datetime import date

from tradeflow_core.capital import waiting_jump
from tradeflow_core.desk import Desk
from tradeflow_core.model import ROLLS
from tradeflow_core.reports.closes import fills_at_close, how_filled
from tradeflow_core.reports.tables import capital_history, contract_positions, fills_of_day, orders_of_day, profit_of_day


def daily_report(desk: Desk, day: date) -> tuple[str, str]:
    """The report of `day` as text, also written to the home's `reports` folder, and its summary in one line."""
    orders, fills, capital = orders_of_day(desk, day), fills_of_day(desk, day), capital_history(desk)
    currency, profit = desk.settings.base_currency, profit_of_day(desk, day)
    value = f"{capital['broker'].iloc[-1]:,.0f} {currency}" if len(capital) else "unknown"
    jump = waiting_jump(capital, currency) if len(capital) else None
    rolls = int((orders["strategy"] == ROLLS).sum())
    strategy_orders = len(orders) - rolls
    profit_text = "" if profit is None else f", profit {profit:+,.0f} {currency}"
    doubt = ", which does not count: it waits for a person" if jump else ""
    summary = f"{strategy_orders} orders, {rolls} rolls, {len(fills)} fills, account {value}{doubt}{profit_text}"
    filled = how_filled(desk)
    told = ["", f"{fills_at_close(desk, fills)} of {len(fills)} fills at the day's close; {filled}"] if filled else []
    waits = ["", f"CAPITAL WAITS: {jump.message}"] if jump else []
    parts = [f"{day:%A %Y-%m-%d}, {desk.home.describe()}", "", summary, *waits, *told]
    for title, frame in (("Orders", orders), ("Fills", fills), ("Positions", contract_positions(desk))):
        parts += ["", title, frame.to_string(index=False) if len(frame) else "none"]
    text = "\n".join(parts) + "\n"
    folder = desk.home.path / "reports"
    folder.mkdir(exist_ok=True)
    (folder / f"{day.isoformat()}.txt").write_text(text, encoding="utf-8")
    return text, summary
