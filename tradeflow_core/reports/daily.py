"""The report of a business day: what was traded, what was not and why, what is held, what the account is worth."""

from __future__ import annotations

import json
from datetime import date

from tradeflow_core.capital import waiting_jump
from tradeflow_core.desk import Desk
from tradeflow_core.model import ROLLS
from tradeflow_core.reports.closes import fills_at_close, how_filled
from tradeflow_core.reports.not_traded import not_traded, not_traded_lines
from tradeflow_core.reports.tables import capital_history, contract_positions, fills_of_day, orders_of_day, profit_of_day


def daily_report(desk: Desk, day: date) -> tuple[str, str]:
    """The report of `day` as text, also written to the home's `reports` folder, there as JSON too, and its summary in one line."""
    orders, fills, capital = orders_of_day(desk, day), fills_of_day(desk, day), capital_history(desk)
    unfilled, filled = not_traded(desk, day), how_filled(desk)
    currency, profit = desk.settings.base_currency, profit_of_day(desk, day)
    value = f"{capital['broker'].iloc[-1]:,.0f} {currency}" if len(capital) else "unknown"
    jump = waiting_jump(capital, currency) if len(capital) else None
    rolls = int((orders["strategy"] == ROLLS).sum())
    strategy_orders = len(orders) - rolls
    profit_text = "" if profit is None else f", profit {profit:+,.0f} {currency}"
    doubt = ", which does not count: it waits for a person" if jump else ""
    more = f", {len(unfilled)} not traded in full" if unfilled else ""
    summary = f"{strategy_orders} orders, {rolls} rolls, {len(fills)} fills{more}, account {value}{doubt}{profit_text}"
    waits = ["", f"CAPITAL WAITS: {jump.message}"] if jump else []
    at_close = fills_at_close(desk, fills)
    told = ["", f"{at_close} of {len(fills)} fills at the day's close; {filled}"] if filled else []
    parts = [f"{day:%A %Y-%m-%d}, {desk.home.describe()}", "", summary, *waits, *told]
    parts += ["", "Not traded, and why", *(not_traded_lines(unfilled) or ["nothing: all that was wanted"])]
    tables = {"Orders": orders, "Fills": fills, "Positions": contract_positions(desk)}
    for title, frame in tables.items():
        parts += ["", title, frame.to_string(index=False) if len(frame) else "none"]
    text = "\n".join(parts) + "\n"
    facts = {
        "day": day,
        "summary": summary,
        "capital_waits": jump.message if jump else None,
        "fills_at_close": at_close,
        "how_filled": filled,
        "not_traded": unfilled,
        **{title.lower(): frame.to_dict("records") for title, frame in tables.items()},
    }
    folder = desk.home.path / "reports"
    folder.mkdir(exist_ok=True)
    (folder / f"{day.isoformat()}.txt").write_text(text, encoding="utf-8")
    (folder / f"{day.isoformat()}.json").write_text(json.dumps(facts, indent=1, default=str), encoding="utf-8")
    return text, summary
