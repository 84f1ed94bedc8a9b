"""Tables of a home's `config/` that are wrong: a day is refused before the clock moves, and the line is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input.corpus import instead, refused

INSTRUMENTS = "Instrument,Description,Pointsize,Currency,AssetClass,PerBlock,Percentage,PerTrade,Region,Session,Tick\n"
ROLLS = "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset\n"
SESSIONS = "Session,Zone,Calendar,Days,Open,Close\n"
MARKET = "Instrument,Price,AnnualVol,Carry,Factor,Loading,DailyVolume\n"
FX = "Code,Currency,BrokerPair,Invert\n"
SIMULATED_FX = "Currency,Rate,AnnualVol\n"
SPREADS = "Instrument,SpreadCost\n"
CORN = "CORN,Corn,{size},{currency},Ags,{cost},0,0,{region},{session},0.25\n"


def corn(size: str = "50", currency: str = "USD", cost: str = "1", region: str = "US", session: str = "CBOT_GRAINS") -> str:
    """A table with one row, that of corn."""
    return INSTRUMENTS + CORN.format(size=size, currency=currency, cost=cost, region=region, session=session)


def once_in(currency: str) -> str:
    """A table with one row, that of corn, which was in another currency once."""
    header, row = corn().splitlines()
    return f"{header},EarlierCurrencies\n{row},{currency}\n"


TABLES = [
    ("an empty file", "instruments.csv", "", "instruments.csv"),
    ("bytes that are no text", "instruments.csv", b"\xff\xfe\x00", "instruments.csv"),
    ("no header", "instruments.csv", "CORN,Corn,50\n", "instruments.csv"),
    ("a row that is too short", "instruments.csv", INSTRUMENTS + "CORN,Corn\n", "instruments.csv, line 2"),
    ("a point size of zero", "instruments.csv", corn(size="0"), "line 2, column Pointsize"),
    ("a negative point size", "instruments.csv", corn(size="-50"), "line 2, column Pointsize"),
    ("an endless point size", "instruments.csv", corn(size="inf"), "line 2, column Pointsize"),
    ("a point size beyond all numbers", "instruments.csv", corn(size="1e400"), "line 2, column Pointsize"),
    ("no point size", "instruments.csv", corn(size=""), "line 2, column Pointsize"),
    ("a word for a point size", "instruments.csv", corn(size="large"), "line 2, column Pointsize"),
    ("a comma in a point size", "instruments.csv", corn(size='"1,000"'), "line 2, column Pointsize"),
    ("another point size of what was traded", "instruments.csv", corn(size="5"), "point size of CORN is 5.0 and was 50.0"),
    ("a currency of two letters", "instruments.csv", corn(currency="US"), "line 2, column Currency"),
    ("a currency without rates", "instruments.csv", corn(currency="BRL"), "BRL"),
    ("an endless cost", "instruments.csv", corn(cost="inf"), "line 2, column PerBlock"),
    ("a negative cost", "instruments.csv", corn(cost="-1"), "line 2, column PerBlock"),
    ("a region on the moon", "instruments.csv", corn(region="MOON"), "line 2, column Region"),
    ("a session that nobody knows", "instruments.csv", corn(session="NOPE"), "NOPE"),
    (
        "an instrument twice",
        "instruments.csv",
        corn() + CORN.format(size=50, currency="USD", cost=1, region="US", session=""),
        "line 3",
    ),
    ("a code with a slash", "instruments.csv", corn().replace("CORN,", "CO/RN,"), "line 2, column Instrument"),
    ("no month", "rolls.csv", ROLLS + "CORN,,-60,-1,HKNUZ,14\n", "rolls.csv, line 2"),
    ("a month that is none", "rolls.csv", ROLLS + "CORN,A,-60,-1,HKNUZ,14\n", "rolls.csv, line 2"),
    ("half a day", "rolls.csv", ROLLS + "CORN,Z,-60.5,-1,HKNUZ,14\n", "rolls.csv, line 2"),
    ("a carry offset of two", "rolls.csv", ROLLS + "CORN,Z,-60,2,HKNUZ,14\n", "rolls.csv, line 2"),
    ("a roll in a million days", "rolls.csv", ROLLS + "CORN,Z,-99999999,-1,HKNUZ,14\n", "rolls.csv, line 2"),
    ("a rule of nothing", "rolls.csv", ROLLS + "NOPE,Z,-60,-1,HKNUZ,14\n", "rolls.csv, line 2"),
    ("a spread of zero contracts", "spreadcosts.csv", SPREADS + "CORN,-1\n", "spreadcosts.csv, line 2"),
    ("an endless spread", "spreadcosts.csv", SPREADS + "CORN,inf\n", "spreadcosts.csv, line 2"),
    ("a zone on Mars", "sessions.csv", SESSIONS + "CBOT_GRAINS,Mars,XCBT,Mon-Fri,09:00,10:00\n", "sessions.csv, line 2"),
    (
        "an hour that does not exist",
        "sessions.csv",
        SESSIONS + "CBOT_GRAINS,America/Chicago,,Mon-Fri,25:00,10:00\n",
        "sessions.csv",
    ),
    (
        "a day that does not exist",
        "sessions.csv",
        SESSIONS + "CBOT_GRAINS,America/Chicago,,Mon-Foo,09:00,10:00\n",
        "sessions.csv",
    ),
    ("a price of zero", "simulated_market.csv", MARKET + "CORN,0,0.2,0,Ags,0.5,1000\n", "simulated_market.csv, line 2"),
    (
        "a price that is no number",
        "simulated_market.csv",
        MARKET + "CORN,nan,0.2,0,Ags,0.5,1000\n",
        "simulated_market.csv, line 2",
    ),
    ("a rate of zero", "simulated_fx.csv", SIMULATED_FX + "EUR,0,0.1\n", "simulated_fx.csv, line 2"),
    ("a rate that is endless", "simulated_fx.csv", SIMULATED_FX + "EUR,inf,0.1\n", "simulated_fx.csv, line 2"),
    ("a currency of days to come", "instruments.csv", once_in("DEM until 2030-01-01"), "CORN is in DEM until 2030-01-01"),
    ("a currency without rates", "instruments.csv", once_in("DEM until 2020-01-01"), "there are no rates of DEM"),
    ("a currency until nothing", "instruments.csv", once_in("DEM"), "line 2, column EarlierCurrencies"),
    ("a pair that is none", "fx.csv", FX + "EURUSD,EUR,EUR,perhaps\n", "fx.csv, line 2"),
]


@pytest.mark.parametrize(("name", "text", "message"), [row[1:] for row in TABLES], ids=[row[0] for row in TABLES])
def test_a_table_is_refused_for(name: str, text: str | bytes, message: str, traded: Path) -> None:
    with instead(traded / "config" / name, text):
        refused(traded, ("day", "--days", "1"), message)
