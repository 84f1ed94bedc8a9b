"""The Dagster UI as a person uses it: a headless browser against webserver and daemon of a small home."""

from __future__ import annotations

import os
import re
import time
from itertools import takewhile
from pathlib import Path
from typing import Any

from tests.assets.conftest import THREE
from tests.ui.conftest import BROKEN, MARKS, Site
from tradeflow_core.desk import Desk
from tradeflow_core.home import Home
from tradeflow_core.ledger import current_roll
from tradeflow_core.model import contract_label

GOOD = "CORN"
ROLLED = "US10"
"""Not held after the first day, so that a person may roll it."""
GROUPS = ("desk", "rolls", "prices", "fx", "capital", "strategy", "orders", "execution", "reports")

pytestmark = MARKS


def keep(page: Any, name: str) -> None:
    """A screenshot for a person who wants to look."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def counts(page: Any) -> dict[str, int]:
    """The numbers of partitions by state on the partitions tab."""
    return {
        state: int(number)
        for state, number in re.findall(r"(Failed|Materialized|Materializing|Missing) ?\((\d+)\)", page.inner_text("body"))
    }


def test_the_lineage_page_shows_every_group_of_the_business_day(site: Site, page: Any) -> None:
    page.goto(f"{site.url}/asset-groups")
    for group in GROUPS:
        page.get_by_text(group, exact=True).first.wait_for()
    keep(page, "lineage")
    assert "Join the Dagster" not in page.inner_text("body")


def test_the_overview_asset_says_which_desk_this_is(site: Site, page: Any) -> None:
    page.goto(f"{site.url}/assets/desk")
    page.get_by_text("Which desk is this?").wait_for()
    text = page.inner_text("body")
    assert str(site.home) in text and "SIM-1" in text and "America/New_York" in text
    keep(page, "desk")


def test_orders_are_shown_as_a_table_and_as_plots(site: Site, page: Any) -> None:
    page.goto(f"{site.url}/assets/instrument_orders")
    page.get_by_text("n_orders", exact=True).first.wait_for()
    page.get_by_text("Show schema").first.wait_for()
    for code in THREE:
        page.get_by_text(code, exact=True).first.wait_for()
    keep(page, "orders")
    page.get_by_text("Plots", exact=True).first.click()
    page.locator("canvas").first.wait_for()
    keep(page, "plots")


def test_the_backtest_shows_its_curve_and_positions_and_a_chart_of_each(site: Site, page: Any) -> None:
    page.goto(f"{site.url}/assets/backtest")
    page.get_by_text("account_curve", exact=True).first.wait_for()
    for code in THREE:
        page.get_by_text(code, exact=True).first.wait_for()
    assert page.locator('img[src^="data:image/svg+xml"]').count() == 2
    keep(page, "backtest")
    for place, chart in enumerate(("profit and loss, % of capital", "risk of the optimal positions, % of capital a year")):
        page.get_by_text("[Show Markdown]").nth(place).click()
        page.locator(f'img[alt="{chart}"]').wait_for()
        keep(page, f"backtest_chart_{place}")
        page.keyboard.press("Escape")
        page.locator(f'img[alt="{chart}"]').wait_for(state="detached")


def test_a_price_is_drawn_on_its_partition(site: Site, page: Any) -> None:
    page.goto(f"{site.url}/assets/adjusted_prices?view=partitions&partition={GOOD}")
    page.locator('img[src^="data:image/svg+xml"]').first.wait_for()
    keep(page, "price")


def test_an_asset_is_made_again_by_a_click(site: Site, page: Any) -> None:
    page.goto(f"{site.url}/assets/spot_fx?view=events")
    page.get_by_role("button", name="Materialize").first.click()
    toast = page.get_by_text(re.compile("Launched run [0-9a-f]{8}")).first
    toast.wait_for()
    run = (re.findall("[0-9a-f]{8}", toast.inner_text()) or [""])[0]
    status = ""
    for _ in range(30):
        page.goto(f"{site.url}/runs")
        page.get_by_text(run).first.wait_for()
        _, _, after = page.inner_text("body").partition(run)
        if (status := (re.findall("Success|Failure|Queued|Starting|Started", after) or [""])[0]) in ("Success", "Failure"):
            break
        page.wait_for_timeout(1000)
    keep(page, "run")
    assert status == "Success"


def test_a_backfill_of_two_instruments_shows_one_good_and_one_failed(site: Site, page: Any) -> None:
    page.goto(f"{site.url}/locations/tradeflow_assets.definitions/asset-groups/prices")
    page.get_by_text("adjusted_prices", exact=True).first.wait_for()
    keep(page, "prices")
    page.get_by_role("button", name="Materialize all").first.click()
    page.get_by_text("Select a partition or create one").click()
    popover = page.locator("[class*=popover i]")
    for code in (GOOD, BROKEN):
        popover.get_by_text(code, exact=True).locator("visible=true").last.click()
    page.keyboard.press("Escape")
    keep(page, "backfill")
    page.get_by_role("button", name="Launch backfill").click()
    found: dict[str, int] = {}
    # The daemon takes up backfills every 30 seconds, and starting a run takes some more.
    for _ in range(60):
        page.goto(f"{site.url}/assets/adjusted_prices?view=partitions")
        page.get_by_text("Materialized (").wait_for()
        page.wait_for_timeout(1500)
        if (found := counts(page)).get("Failed"):
            break
    assert found == {"Failed": 1, "Materialized": len(THREE) - 1, "Materializing": 0, "Missing": 0}
    page.goto(f"{site.url}/assets/adjusted_prices?view=partitions&partition={BROKEN}")
    page.get_by_text(BROKEN, exact=True).first.wait_for()
    keep(page, "failed_partition")
    page.goto(f"{site.url}/runs")
    page.get_by_text("spot_fx").first.wait_for()
    keep(page, "runs")
    page.goto(f"{site.url}/locations/tradeflow_assets.definitions/asset-groups/prices")
    page.get_by_text("1 failed", exact=False).first.wait_for()
    keep(page, "prices_after")


def test_the_failed_run_was_told_to_a_person(site: Site, page: Any) -> None:
    alerts = Desk(Home.open(site.home)).alerts
    for _ in range(60):
        told = [alert["message"] for alert in alerts.read() if alert["subject"] == "materialization failed"]
        if told:
            break
        time.sleep(1)
    assert told and BROKEN in told[0]


def launch(site: Site, page: Any, job: str, *, config: str) -> None:
    """Type the configuration of a job into its launchpad, launch it and wait until it has succeeded."""
    page.goto(f"{site.url}/locations/tradeflow_assets.definitions/jobs/{job}/playground")
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(config)
    page.get_by_text("No errors").wait_for()
    keep(page, f"launchpad_{job}")
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/**")
    # The queue takes up runs every few seconds.
    page.get_by_text("Success", exact=True).first.wait_for(timeout=90_000)
    keep(page, f"run_{job}")


def shown_table(page: Any, name: str) -> list[list[str]]:
    """The cells of a table of metadata, a list a row, as the event on the page shows them."""
    _, _, below = page.inner_text("body").partition(f"{name}\n")
    rows = [line.split("\t") for line in below.splitlines() if line.strip() and not line.startswith("Show schema")]
    width = len(rows[0])
    return list(takewhile(lambda row: len(row) == width, rows))


def test_a_person_rolls_prices_from_the_launchpad_and_sees_before_and_after(site: Site, page: Any) -> None:
    with Desk(Home.open(site.home)).ledger.read() as view:
        old = current_roll(view, ROLLED)
    assert old is not None
    launch(site, page, "preview_roll", config=f"ops:\n  show_roll:\n    config:\n      instrument: {ROLLED}\n")
    page.goto(f"{site.url}/assets/roll_status?view=events")
    page.get_by_text("Observed in run").first.wait_for()
    names = ("multiple_before", "multiple_after", "adjusted_before", "adjusted_after")
    shown = {name: shown_table(page, name) for name in names}
    assert all(len(rows) == 7 for rows in shown.values()), "a header and six rows each"
    assert shown["multiple_before"][-1][4] == str(old.price_contract) and shown["multiple_after"][-1][4] == str(
        old.forward_contract
    )
    keep(page, "roll_preview")
    config = f"instrument: {ROLLED}\n      state: Roll_Adjusted\n      who: me\n      why: the volume has moved\n"
    launch(site, page, "set_roll_state", config=f"ops:\n  enter_roll_state:\n    config:\n      {config}")
    page.goto(f"{site.url}/assets/roll_status?view=events")
    page.get_by_text("the volume has moved").first.wait_for()
    assert {name: shown_table(page, name) for name in names} == shown, "it was done as it was shown"
    rolls = {row[0]: row for row in shown_table(page, "rolls")}
    assert rolls[ROLLED][1:4:2] == ["No_Roll", contract_label(old.forward_contract)] and set(THREE) < set(rolls)
    keep(page, "roll_status")
    for asset in ("roll_status", "adjusted_prices"):
        page.goto(f"{site.url}/assets/{asset}/?view=lineage")
        page.get_by_text(asset, exact=True).first.wait_for()
        page.get_by_text(re.compile("Materialized|[A-Z][a-z]{2} [0-9]+, [0-9]+:[0-9]{2} [AP]M")).first.wait_for()
        keep(page, f"graph_{asset}")
    page.goto(f"{site.url}/assets/adjusted_prices?view=partitions&partition={ROLLED}")
    page.locator('img[src^="data:image/svg+xml"]').first.wait_for()
    with Desk(Home.open(site.home)).ledger.read() as view:
        new = current_roll(view, ROLLED)
    assert new is not None and (new.price_contract, new.reason) == (old.forward_contract, "person")
