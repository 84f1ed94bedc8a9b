"""The tear sheet: one file, complete, without network, right in its figures."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from tests.strategy.markets import instrument, market, multiple_prices
from tests.strategy.test_backtest import strategy
from tradeflow_core.errors import ConfigError
from tradeflow_core.strategy import Backtest, BacktestData, run_backtest
from tradeflow_core.strategy.results.curves import portfolio_curve
from tradeflow_core.strategy.results.sheet import figures, tear_sheet
from tradeflow_core.strategy.results.sheet.formats import MISSING, number, percent, spread, whole

SECTIONS = (
    "account",
    "statistics",
    "months",
    "sectors",
    "rules",
    "instruments",
    "costs",
    "positions",
    "caveats",
    "configuration",
)
ODD_NAME = "<script>alert('A&B')</script>"
CHROMIUM = shutil.which("chromium")


@dataclass
class Sheet:
    """A tear sheet taken apart."""

    html: str

    @property
    def own(self) -> str:
        """Everything but the charting library."""
        return self.html.replace(get_plotlyjs(), "")

    @property
    def data(self) -> dict[str, Any]:
        """What the charts are drawn from."""
        found = re.search(r'<script type="application/json" id="data">(.*?)</script>', self.own, re.DOTALL)
        assert found is not None
        return json.loads(found[1])  # type: ignore[no-any-return]

    @property
    def elements(self) -> Elements:
        """Its elements and texts."""
        parser = Elements()
        parser.feed(self.own)
        return parser

    def dates(self, place: int) -> pd.DatetimeIndex:
        """A set of dates of the page."""
        return pd.DatetimeIndex(array(self.data["dates"][place]).astype("datetime64[D]").astype("datetime64[ns]"))


class Elements(HTMLParser):
    """Collects what a tear sheet consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute, in order."""
        return [str(attrs[attribute]) for _, attrs in self.tags if attribute in attrs]


def array(packed: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["bdata"]), dtype="<" + packed["dtype"])


def named(*codes: str, days: int = 700) -> BacktestData:
    tables = {code: multiple_prices(place, days) for place, code in enumerate(codes)}
    return BacktestData.from_frames(tables, {}, {code: instrument(code) for code in codes})


BACKTESTS = {
    "three instruments": lambda: run_backtest(strategy(), market()),
    "one instrument": lambda: run_backtest(strategy(), market("A")),
    "no trade at all": lambda: run_backtest(strategy(notional_trading_capital=100.0), market("AB")),
    "too short for a forecast": lambda: run_backtest(strategy(), market("A", days=5)),
    "a single day": lambda: run_backtest(strategy(), market("A", days=1)),
    "costs in Sharpe-ratio units": lambda: run_backtest(strategy(use_SR_costs=True), market("A")),
    "odd names": lambda: run_backtest(strategy(), named(ODD_NAME, "x'\"y")),
}


@pytest.fixture(scope="module")
def backtest() -> Backtest:
    return BACKTESTS["three instruments"]()


@pytest.fixture(scope="module")
def sheet(backtest: Backtest) -> Sheet:
    return Sheet(tear_sheet(backtest))


@pytest.fixture(scope="module", params=BACKTESTS)
def any_sheet(request: pytest.FixtureRequest) -> Iterator[Sheet]:
    yield Sheet(tear_sheet(BACKTESTS[request.param]()))


def test_every_section_is_there_and_linked(any_sheet: Sheet) -> None:
    elements = any_sheet.elements
    assert [attrs["id"] for tag, attrs in elements.tags if tag == "section"] == list(SECTIONS)
    assert [str(attrs["href"]) for tag, attrs in elements.tags if tag == "a"] == [f"#{key}" for key in SECTIONS]


def test_nothing_comes_from_the_network(any_sheet: Sheet) -> None:
    assert "://" not in any_sheet.own
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest", any_sheet.own)
    assert not any_sheet.elements.values("src")
    assert not {"link", "img", "iframe"} & {tag for tag, _ in any_sheet.elements.tags}


def test_the_charting_library_is_there_once(any_sheet: Sheet) -> None:
    assert any_sheet.html.count(get_plotlyjs()) == 1


def test_every_chart_has_its_place_and_every_place_its_chart(any_sheet: Sheet) -> None:
    places = {str(attrs["id"]) for _, attrs in any_sheet.elements.tags if attrs.get("class") == "chart"}
    assert places == {*any_sheet.data["charts"], "instrument-chart"}


def test_every_figure_shown_is_known(any_sheet: Sheet) -> None:
    shown = " ".join(any_sheet.elements.texts)
    assert not re.search(r"\b(nan|NaT|None|inf)\b", shown.split('"charts"')[0])


def test_rules_can_be_left_out_and_the_sheet_says_so(backtest: Backtest) -> None:
    without = Sheet(tear_sheet(backtest, by_rule=False))
    assert "made without profit and loss by rule" in without.own
    assert "rules-chart" not in without.data["charts"]


def test_every_rule_has_its_line_which_ends_at_its_profit(backtest: Backtest, sheet: Sheet) -> None:
    capital = backtest.config.notional_trading_capital
    lines = {line["name"]: float(array(line["y"])[-1]) for line in sheet.data["charts"]["rules-chart"]["data"]}
    profits = backtest.rule_accounts.by_rule.xs("net", axis=1, level="part").sum()
    assert lines == pytest.approx({str(rule): 100.0 * money / capital for rule, money in profits.items()}, rel=1e-4)


def test_names_are_text_and_never_markup() -> None:
    odd = Sheet(tear_sheet(BACKTESTS["odd names"]()))
    assert ODD_NAME not in odd.own
    assert ODD_NAME in odd.elements.texts
    assert ODD_NAME in odd.data["instruments"]["instruments"]
    labels = odd.data["charts"]["instruments-chart"]["data"][0]["y"]
    assert not any("<" in label for label in labels)


def test_the_name_of_the_strategy_is_text_too() -> None:
    config = strategy().model_copy(update={"source": "<b>mine</b>.yaml"})
    html = Sheet(tear_sheet(run_backtest(config, market("A")))).own
    assert "<b>mine" not in html


def test_the_chart_of_an_instrument_has_its_exact_positions(backtest: Backtest, sheet: Sheet) -> None:
    packed = sheet.data["instruments"]
    days = sheet.dates(packed["days"]["dates"])
    for code, held in backtest.accounts.positions.values.items():
        chosen = packed["instruments"][str(code)]
        drawn = pd.Series(array(chosen["position"]), index=days[array(chosen["changes"])]).reindex(days).ffill()
        known = held.dropna()
        np.testing.assert_array_equal(drawn[known.index], known)
        assert days[chosen["end"]] == known.index[-1]


def test_the_chart_of_an_instrument_ends_at_its_profit(backtest: Backtest, sheet: Sheet) -> None:
    curves = portfolio_curve(backtest.accounts)
    for code, chosen in sheet.data["instruments"]["instruments"].items():
        assert array(chosen["profit"])[-1] == pytest.approx(curves.members[code].returns().values.sum(), rel=1e-5)


def test_the_account_curve_is_drawn_day_by_day(backtest: Backtest, sheet: Sheet) -> None:
    net = portfolio_curve(backtest.accounts).returns().cumulative
    drawn = sheet.data["charts"]["account-chart"]["data"][1]
    assert drawn["name"] == "Net"
    np.testing.assert_allclose(array(drawn["y"]), net, rtol=1e-5, atol=1e-4)
    assert sheet.dates(drawn["x"]["dates"]).equals(pd.DatetimeIndex(net.index.astype("datetime64[ns]")))


def test_months_of_a_year_add_up_to_it(sheet: Sheet) -> None:
    months, years = (array(cells["z"]).reshape(-1, 13) for cells in sheet.data["charts"]["months-chart"]["data"])
    np.testing.assert_allclose(np.nansum(months[:, :12], axis=1), years[:, 12], atol=1e-3)


def test_the_latest_positions_are_those_of_the_backtest(backtest: Backtest, sheet: Sheet) -> None:
    table = sheet.own.split("<h3>Latest</h3>")[1].split("</table>")[0]
    rows = dict(re.findall(r"<th scope=\"row\">(\w+)</th><td class=\"t\">\w+</td><td[^>]*>([^<]+)</td>", table))
    last = backtest.accounts.positions.values.ffill().iloc[-1]
    assert rows == {str(code): whole(position) for code, position in last.items()}


@pytest.mark.parametrize("case", BACKTESTS)
def test_every_chart_is_valid_for_plotly(case: str) -> None:
    found = BACKTESTS[case]()
    curves = portfolio_curve(found.accounts)
    made = [
        figures.account_figure(curves, corrected=True),
        figures.curves_figure(curves.members),
        figures.months_figure(curves.returns(frequency="monthly"), curves.returns(frequency="annual")),
        figures.bars_figure(pd.Series({"A": 1.0, "B": -2.0}), "Net"),
        figures.costs_figure(curves.returns("costs", frequency="annual")),
        {"data": [], "layout": figures.instrument_layout()},
    ]
    for figure in made:
        assert len(go.Figure(figure).data) == len(figure["data"])


def test_a_sheet_is_written_where_it_is_wanted(backtest: Backtest, tmp_path: Path) -> None:
    html = tear_sheet(backtest, tmp_path / "sheet.html")
    assert (tmp_path / "sheet.html").read_text(encoding="utf-8") == html


def test_a_path_that_cannot_be_written_is_told(backtest: Backtest, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.*choose another path"):
        tear_sheet(backtest, tmp_path / "absent" / "sheet.html")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (percent(12.34), "+12.3 %"),
        (percent(-1234.5), "−1,234.5 %"),
        (percent(-0.004, 2), "−0.004 %"),
        (percent(0.0), "0 %"),
        (spread(33.0), "33.00 %"),
        (whole(-0.0), "0"),
        (whole(-0.4), "0"),
        (whole(1234567.0), "1,234,567"),
        (number(float("nan")), MISSING),
        (percent(float("inf")), MISSING),
    ],
)
def test_figures_are_written_for_people(written: str, wanted: str) -> None:
    assert written == wanted


@pytest.mark.ui
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs the browser chromium on the path")
@pytest.mark.parametrize("width", [1400, 390])
def test_a_browser_draws_every_chart_and_asks_nobody(width: int, sheet: Sheet, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    file = tmp_path / "sheet.html"
    file.write_text(sheet.html, encoding="utf-8")
    asked: list[str] = []
    errors: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(file.as_uri())
        page.wait_for_function("document.querySelectorAll('.chart .main-svg').length > 0")
        drawn = page.evaluate("[...document.querySelectorAll('.chart')].every((place) => place.querySelector('.main-svg'))")
        page.select_option("#instrument-choice", "C")
        chosen = page.evaluate("document.getElementById('instrument-chart').data[1].y.length")
        page.click("#instruments th:nth-child(1) button")
        page.click("#instruments th:nth-child(1) button")
        first = page.inner_text("#instruments tbody tr:first-child th")
        overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        browser.close()
    assert drawn
    assert chosen == len(array(sheet.data["instruments"]["instruments"]["C"]["position"])) + 1
    assert first == "A"
    assert overflow <= 0
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
