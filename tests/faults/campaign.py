"""A campaign of kills, pauses, lies and people against one busy trading session, many times over.

Each run takes a copy of the same morning (43 instruments, three strategies, every roll state, limits) and works its session in processes
that are disturbed in ways drawn from the run's seed:

- kills: the handler is killed at a drawn boundary (before or after a transaction or a call of the broker) or moment, and started again;
- pauses: it is stopped for a while, another handler of another home takes over, and the first wakes up;
- lies: the broker loses answers and orders, denies, repeats, reorders, corrects, voids and delays, and somebody trades elsewhere;
- person: lies, and a person stops and resumes, locks, overrides and cancels meanwhile.

Judged: after kills and pauses the fills, prices and times are those of the undisturbed session; after lies or a person the exchange's journal
equals the ledger once every fault has settled, no reference was sent twice, and positions stayed within their limits. Always: the invariants
of the ledger.

`python -m tests.faults.campaign --runs 1000 --results FILE` appends a line of JSON for each run and goes on where it stopped.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from tests.faults.boundaries import Boundaries
from tests.faults.judge import settle_and_judge, what_happened
from tests.faults.processes import call, fork, wait
from tests.postgres import create_database, drop_database, move_ledger
from tradeflow_core import business_day, ledger as books
from tradeflow_core.desk import Desk
from tradeflow_core.errors import TradeflowError
from tradeflow_core.execution import session
from tradeflow_core.home import SETTINGS_FILE, Home
from tradeflow_core.model import Override, OverrideKind, RollState

KINDS = ("kills", "pauses", "lies", "person")
STATES = (
    *(RollState.PASSIVE, RollState.FORCE, RollState.FORCE_OUTRIGHT, RollState.CLOSE),
    *(RollState.NO_OPEN, RollState.NO_ROLL),
)
RESTARTS = 40
ASKS_A_PERSON = "could not be cancelled within"
LIES = """
[simulated.faults]
seed = {seed}
denied_orders = 0.1
denied_minutes = 20
lost_answers = 0.1
lost_orders = 0.1
doubled_executions = 0.2
disordered_executions = 0.2
late_executions = 0.1
late_commissions = 0.2
corrected_executions = {corrections}
busted_executions = {corrections}
foreign_trades = {foreign}
liquidations = {foreign}
rejected_orders = 0.05
silences = 0.03
session_drops = 0.03
late_cancels = 0.2
partial_fills = 0.3
moved_prices = 0.2
"""


def make_morning(folder: Path) -> Path:
    """The home that every run starts from: the second day, after its orders were made, with every roll state and some limits."""
    strategies = {name: {"config": "static_trend_carry"} for name in ("one", "two", "three")}
    values = {
        "market": "simulated",
        "capital": "40000000",
        "simulated": {"history_years": 2},
        "strategies": strategies,
        "day": {"tick_minutes": 60},
    }
    desk = Desk(Home.create(folder / "home", values, datetime(2024, 1, 8, 5, tzinfo=UTC)))
    first, second = business_day.days_to_run(desk, 2)[:2]
    business_day.run_day(desk, first)
    for job in ("rolls", "prices", "portfolio"):
        desk.clock.advance_to(desk.home.at(second, desk.settings.day.start))  # type: ignore[attr-defined]
        business_day.run_job(desk, job)
    with desk.ledger.begin() as tx:
        held = sorted({instrument for instrument, _ in books.positions_by_contract(tx, desk.account)})
        totals: Counter[str] = Counter()
        for (_, instrument), quantity in books.positions_by_strategy(tx, desk.account).items():
            totals[instrument] += quantity
        for number, instrument in enumerate(held):
            books.set_roll_state(
                tx, instrument, STATES[number % len(STATES)], now=desk.now(), who="campaign", why="every state occurs"
            )
            if number % 4 == 0:
                books.set_position_limit(
                    tx, "", instrument, contracts=abs(totals[instrument]) + 1, now=desk.now(), who="campaign", why="limit"
                )
                books.set_trade_limit(tx, "", instrument, days=1, contracts=60, now=desk.now(), who="campaign", why="limit")
    desk.close()
    return desk.home.path


def work_session(home: Path, dies_at: int = 0) -> int:
    """Work the session of a home to its end; returns how many boundaries were passed. `dies_at`: the process kills itself there."""
    desk = Desk(Home.open(home))
    boundaries = Boundaries(desk, dies_at)
    business_day.stack_handler_step(desk)
    desk.close()
    return boundaries.count


def warm_up(home: Path) -> None:
    """Load here, once, what every copy of this process would load for itself: half of what a run costs."""
    for module in ("brokers.paper.simulated", "ledger.checks", "ledger.control_history", "ledger.soundness", "ledger.migrate"):
        importlib.import_module(f"tradeflow_core.{module}")
    opened = Home.open(home)
    for instrument in opened.instruments:
        opened.sessions.is_business_day(instrument, date(2024, 1, 9))


# --- one run -------------------------------------------------------------------------------------------------------------


def copy_morning(morning: Path, folder: Path, *, settings: str = "", database: str = "") -> Path:
    """A copy of the morning, which shares only the prices that nobody changes. `database`: an empty one in PostgreSQL for its ledger."""
    home = folder / "home"
    shutil.copytree(morning, home, ignore=shutil.ignore_patterns("data", "dagster", "*.lock"))
    (home / "data").symlink_to(morning / "data")
    if settings:
        file = home / SETTINGS_FILE
        file.write_text(file.read_text(encoding="utf-8") + settings, encoding="utf-8")
    if database:
        call(lambda: move_ledger(home, database))
    return home


def one_run(seed: int, morning: Path, undisturbed: dict[str, Any], database: str = "") -> dict[str, Any]:
    """Run and judge one session, with its ledger in the empty `database` if one is given; returns what is to be kept of it, with the
    problems that were found."""
    dice, kind = random.Random(seed), KINDS[seed % len(KINDS)]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tradeflow-campaign-") as folder:
        lies = ""
        if kind in ("lies", "person"):
            amounts = {"corrections": dice.choice([0, 0.05]), "foreign": dice.choice([0, 0.03])}
            lies = LIES.format(seed=seed, **amounts)
        home = copy_morning(morning, Path(folder), settings=lies, database=database)
        disturb = {"kills": _kills, "pauses": _pauses, "lies": _kills, "person": _person}[kind]
        done = disturb(home, dice, undisturbed)
        if lies:
            problems = call(lambda: settle_and_judge(home))
        else:
            after = call(lambda: what_happened(home))
            problems = after.pop("problems")
            problems += _differences(after, undisturbed)
    return {"seed": seed, "kind": kind, "seconds": round(time.monotonic() - started, 1), **done, "problems": problems}


def _differences(here: dict[str, Any], undisturbed: dict[str, Any]) -> list[str]:
    """What happened otherwise than in the undisturbed session, but for instruments of which there was not enough for all."""
    contested, problems = {*here["contested"], *undisturbed["contested"]}, []
    for name in ("fills", "positions"):
        this, other = ([row for row in each[name] if not contested & set(row)] for each in (here, undisturbed))
        if this != other:
            missing, more = ([row for row in rows if row not in than] for rows, than in ((other, this), (this, other)))
            problems.append(f"{name} differ: {len(missing)} missing {missing[:3]}, {len(more)} more {more[:3]}")
    return problems


def _kills(home: Path, dice: random.Random, undisturbed: dict[str, Any]) -> dict[str, Any]:
    kills, left, error = 0, dice.randint(1, 4), ""
    for _ in range(RESTARTS):
        at_boundary = left > 0 and dice.random() < 0.7
        dies_at = dice.randint(1, max(undisturbed["boundaries"] // 2, 1)) if at_boundary else 0
        child, read = fork(lambda dies_at=dies_at: work_session(home, dies_at))  # type: ignore[misc]
        if left > 0 and not at_boundary:
            time.sleep(dice.uniform(0.02, 0.6 * undisturbed["seconds"]))
            os.kill(child, signal.SIGKILL)
        left -= 1
        code, answer = wait(child, read)
        if code == 0:
            return {"kills": kills}
        if code == 4:
            return {"kills": kills, "crashed": True}
        kills += code == -signal.SIGKILL
        error = answer if code == 3 else error
    return {"kills": kills, "unfinished": error or "killed to the end"}


def _pauses(home: Path, dice: random.Random, undisturbed: dict[str, Any]) -> dict[str, Any]:
    """The handler is stopped again and again; another home of the same desk takes over once its lease has run out."""
    other = _second_home(home)
    pauses = takeovers = 0
    for _ in range(RESTARTS):
        child, read = fork(lambda: work_session(home))
        time.sleep(dice.uniform(0.02, 0.8 * undisturbed["seconds"]))
        os.kill(child, signal.SIGSTOP)
        pauses += 1
        if dice.random() < 0.7:
            time.sleep(session.LEASE_SECONDS + 0.1)
            code, _ = wait(*fork(lambda: work_session(other)))
            takeovers += code == 0
            if code == 4:
                os.kill(child, signal.SIGKILL)
                wait(child, read)
                return {"pauses": pauses, "crashed": True}
        os.kill(child, signal.SIGCONT)
        code, _ = wait(child, read)
        if code == 0:
            return {"pauses": pauses, "takeovers": takeovers}
        if code == 4:
            return {"pauses": pauses, "crashed": True}
    return {"pauses": pauses, "unfinished": True}


def _second_home(home: Path) -> Path:
    """A home of another host of the same desk: the same ledger, book and clock, locks of its own."""
    other = home.parent / "other"
    shutil.copytree(
        home, other, symlinks=True, ignore=shutil.ignore_patterns("*.sqlite*", "market", "clock.json", "*.owner", "*.lock")
    )
    for name in ("market", "clock.json"):
        (other / name).symlink_to(home / name)
    text = (other / SETTINGS_FILE).read_text(encoding="utf-8")
    if "database = " not in text:
        text = f'database = "sqlite:///{home / "ledger.sqlite"}"\n{text}'
    (other / SETTINGS_FILE).write_text(text, encoding="utf-8")
    return other


def _person(home: Path, dice: random.Random, undisturbed: dict[str, Any]) -> dict[str, Any]:
    """A person does this and that while the handler, which is killed now and then, works."""
    person, read = fork(lambda: be_a_person(home, dice.randint(0, 10**9)))
    done = _kills(home, dice, undisturbed)
    code, actions = wait(person, read)
    return {**done, "actions": actions, **({"crashed": True} if code else {})}


def be_a_person(home: Path, seed: int) -> list[str]:
    """Some changes by hand, at random moments; everything that holds trading back is lifted in the end."""
    dice, desk, actions = random.Random(seed), Desk(Home.open(home)), []
    for _ in range(dice.randint(2, 6)):
        time.sleep(dice.uniform(0.1, 0.8))
        what = dice.choice(["stop", "lock", "override", "cancel", "limit"])
        actions.append(what)
        now, said = desk.now(), {"who": "person", "why": "campaign"}
        with desk.ledger.begin() as tx:
            orders = books.open_instrument_orders(tx, desk.account)
            instrument = dice.choice(orders).instrument if orders else dice.choice(desk.universe)
            if what == "stop":
                books.stop_trading(tx, now, "person", why="campaign")
            elif what == "lock":
                books.lock_instrument(tx, instrument, "person", now=now, **said)
            elif what == "override":
                books.set_override(
                    tx, "", instrument, override=Override(OverrideKind.REDUCE_ONLY, 1.0, "x"), now=now, who="person"
                )
            elif what == "limit":
                books.set_position_limit(tx, "one", instrument, contracts=2, now=now, **said)
            elif orders:
                try:
                    books.cancel_instrument_order(tx, dice.choice(orders).id, now=now, **said)
                except TradeflowError:
                    actions[-1] = "refused"
        time.sleep(dice.uniform(0.05, 0.5))
        with desk.ledger.begin() as tx:
            books.lift_stop(tx, desk.now(), "person", why="over")
            books.unlock_instrument(tx, instrument, "person", now=desk.now(), why="over")
            books.clear_override(tx, "", instrument, now=desk.now(), who="person", why="over")
    desk.close()
    return actions


# --- many runs -----------------------------------------------------------------------------------------------------------


def undisturbed_session(morning: Path) -> dict[str, Any]:
    """What the session does when nobody disturbs it, and how many boundaries it has."""
    with tempfile.TemporaryDirectory(prefix="tradeflow-campaign-") as folder:
        home = copy_morning(morning, Path(folder))
        started = time.monotonic()
        boundaries = call(lambda: work_session(home))
        seconds = time.monotonic() - started
        calm = call(lambda: what_happened(home))
    if problems := calm.pop("problems"):
        raise AssertionError(f"the undisturbed session has problems: {problems}")
    return {**calm, "boundaries": boundaries, "seconds": seconds}


def run_campaign(
    runs: int, results: Path, *, workers: int = 1, server: str = "", show: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Run the seeds 0 to `runs` - 1 that are not in the file `results` yet, appending to it; returns the runs with problems.

    `workers`: how many runs are worked at the same time. `server`: URL of a PostgreSQL server in which each run has a database for its ledger.
    """
    session.LEASE_SECONDS = 1  # a paused handler is superseded while it sleeps, not two minutes later
    results.parent.mkdir(parents=True, exist_ok=True)
    left = sorted(set(range(runs)) - set(_done(results)))
    with tempfile.TemporaryDirectory(prefix="tradeflow-campaign-") as folder:
        if left:
            (Path(folder) / "morning").mkdir()
            morning = Path(call(lambda: str(make_morning(Path(folder) / "morning"))))
            warm_up(morning)
            undisturbed = undisturbed_session(morning)

        def work(seeds: list[int]) -> None:
            for seed in seeds:
                with _new_database(server) as database:
                    done = one_run(seed, morning, undisturbed, database)
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done) + "\n")
                if is_bad(done) or seed % 20 == 0:
                    show(json.dumps(done)[:600])

        # Seeds in a row are of different kinds; each worker gets all kinds.
        shares = [[seed for seed in left if seed // len(KINDS) % workers == worker] for worker in range(workers)]
        at_work = [fork(lambda seeds=seeds: work(seeds)) for seeds in shares if seeds]  # type: ignore[misc]
        if any(code for code, _ in [wait(*each) for each in at_work]):
            raise AssertionError("a worker of the campaign ended with an error")
    return [run for seed, run in sorted(_done(results).items()) if seed < runs and is_bad(run)]


@contextmanager
def _new_database(server: str) -> Iterator[str]:
    """The URL of an empty database of a PostgreSQL server, dropped in the end; an empty text without a server."""
    if not server:
        yield ""
        return
    url = call(lambda: create_database(server))
    yield url
    call(lambda: drop_database(url))


def _done(results: Path) -> dict[int, dict[str, Any]]:
    if not results.exists():
        return {}
    return {run["seed"]: run for run in map(json.loads, results.read_text(encoding="utf-8").splitlines())}


def is_bad(run: dict[str, Any]) -> bool:
    """Whether a run found something wrong."""
    # A day does not end while the broker, whose time stands still meanwhile, denies an order: a person is asked, and the judge lets time pass.
    waits = run["kind"] in ("lies", "person") and ASKS_A_PERSON in str(run.get("unfinished", ""))
    return bool(run["problems"] or run.get("crashed") or (run.get("unfinished") and not waits))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--results", type=Path, default=Path("soak/campaign.jsonl"))
    parser.add_argument("--workers", type=int, default=1, help="runs that are worked at the same time")
    parser.add_argument("--server", default="", help="URL of a PostgreSQL server for the ledgers (default: SQLite)")
    given = parser.parse_args()
    bad = run_campaign(
        given.runs, given.results, workers=given.workers, server=given.server, show=lambda line: print(line, flush=True)
    )
    print(f"{given.runs} runs, {len(bad)} with problems")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
