"""Fit periods, correlations, clusters, optimisers and weights against the reference's figures.

Weights found by a numerical search agree closely when the same search is used; the exact optimum lies where the search would
have gone on to, some thousandths away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytest

from tests.conftest import SHARED, needs_shared
from tradeflow_core.strategy.config.compat import Solver
from tradeflow_core.strategy.config.estimates import CorrelationEstimate, MomentEstimate, WeightEstimate
from tradeflow_core.strategy.estimation import (
    Correlation,
    FitPeriod,
    correlations,
    cost_sharpe_ratios,
    estimated_weights,
    fit_periods,
    fitted_correlations,
    last_values,
    multiplier_over_time,
    net_returns,
    returns_at,
    sharpe_multipliers,
    stack,
    sums,
    two_clusters,
    with_cost_weights,
    with_equal_means,
)

pytestmark = needs_shared("golden", "more_positions")

TOLERANCE = 1e-8
SEARCHED, EXACT = 1e-4, 5e-3
SOLVERS: tuple[Solver, ...] = ("exact", "slsqp")


def golden(name: str) -> pd.DataFrame:
    return pd.read_parquet(SHARED / "golden" / f"{name}.parquet")


def matrix(long: pd.DataFrame, rows: str = "a", columns: str = "b") -> pd.DataFrame:
    return long.pivot(index=rows, columns=columns, values="corr")


def assert_close(ours: Any, theirs: Any, tolerance: float = TOLERANCE) -> None:
    """Missing in the same places, and nowhere further apart than the tolerance."""
    np.testing.assert_allclose(np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float), rtol=0, atol=tolerance)


# Fit periods


@pytest.mark.parametrize("interval", ["12M", "W"])
@pytest.mark.parametrize("method", ["expanding", "rolling", "in_sample"])
def test_fit_dates_equal_the_reference(method: Any, interval: str) -> None:
    table = golden("more/fitting_dates_first60").query("date_method == @method and interval == @interval")
    for (start, end), wanted in table.groupby(["data_start", "data_end"]):
        weeks = pd.date_range(start, end, freq="W")
        periods = fit_periods(weeks[0], weeks[-1], method, rollyears=3, interval=interval)[: len(wanted)]
        ours = pd.DataFrame([vars(period) for period in periods])
        fields = ["fit_start", "fit_end", "period_start", "period_end", "no_data"]
        assert (ours[fields].to_numpy() == wanted[fields].to_numpy()).all()


def test_fit_dates_of_stacked_instruments_carry_the_reference_s_microseconds() -> None:
    forecasts = golden("system_b/fdm").set_index("date")
    data = stack([last_values(forecasts[[code]].dropna().set_axis(["rule"], axis=1), "W") for code in sorted(forecasts)])
    fields = ["fit_start", "fit_end", "period_start", "period_end"]
    wanted = golden("system_b/forecast_correlations_pooled")[fields].drop_duplicates()
    ours = pd.DataFrame([vars(period) for period in fit_periods(data.first, data.last)])
    assert (ours[fields].to_numpy() == wanted.to_numpy()).all()


# Correlations


Chosen = TypeVar("Chosen", CorrelationEstimate, WeightEstimate)


def changed(section: Chosen, **values: Any) -> Chosen:
    """A section with other values."""
    return section.model_copy(update=values)


NO_FLOOR = CorrelationEstimate(floor_at_zero=False, ew_lookback=60, min_periods=10)
PLAIN = CorrelationEstimate(using_exponent=False)
CASES: dict[str, CorrelationEstimate] = {
    "exp_default": CorrelationEstimate(),
    "exp_clean_nofloor": NO_FLOOR,
    "exp_clip_shrink": changed(NO_FLOOR, clip=0.5, shrinkage_parameter=0.3),
    "exp_noclean": CorrelationEstimate(cleaning=False, floor_at_zero=False, min_periods=10),
    "exp_offdiag0": CorrelationEstimate(offdiag=0.0, floor_at_zero=False, min_periods=30),
    "plain": PLAIN,
    "plain_clip_shrink": changed(PLAIN, clip=0.4, shrinkage=0.25),
    "plain_noclean": changed(PLAIN, cleaning=False, floor_at_zero=False),
}


@pytest.mark.parametrize("case", CASES)
def test_correlations_of_gappy_weeks_equal_the_reference(case: str) -> None:
    data = stack([golden("more/correlation_cases_input").set_index("date")])
    data = replace(data, frames=2) if case == "exp_offdiag0" else data
    wanted = golden("more/correlation_cases_output").query("case == @case")
    found = list(correlations(data, fit_periods(data.first, data.last), CASES[case]))
    assert [period.period_start for period, _ in found] == list(wanted["date"].drop_duplicates())
    for period, correlation in found:
        assert_close(correlation.values, matrix(wanted[wanted["date"] == period.period_start]))


VARIANTS: dict[str, CorrelationEstimate] = {
    "sample": PLAIN,
    "sample_rolling5": changed(PLAIN, date_method="rolling", rollyears=5, floor_at_zero=False, clip=0.5, offdiag=0.3),
    "noclean": CorrelationEstimate(cleaning=False, floor_at_zero=False, ew_lookback=50, min_periods=40),
    "shrink": CorrelationEstimate(ew_lookback=100, shrinkage_parameter=0.3),
    "monthly": CorrelationEstimate(interval_frequency="M", ew_lookback=75, floor_at_zero=False, clip=0.3, offdiag=0.0),
    "insample": CorrelationEstimate(date_method="in_sample", ew_lookback=100, floor_at_zero=False),
}


def subsystem_correlations(settings: CorrelationEstimate) -> list[tuple[FitPeriod, Correlation]]:
    daily = golden("system_b/pandl_across_subsystems_daily").set_index("date")
    data = stack([returns_at(daily, settings.frequency)])
    return list(fitted_correlations(data, settings))


@pytest.mark.parametrize("case", VARIANTS)
def test_correlations_of_subsystems_equal_the_reference(case: str) -> None:
    wanted = golden("more_positions/correlation_over_time_variants").query("case == @case")
    found = {period.period_start: correlation for period, correlation in subsystem_correlations(VARIANTS[case])}
    for start, theirs in wanted.groupby("period_start"):
        assert_close(found[pd.Timestamp(str(start))].values, matrix(theirs))


def test_instrument_correlations_and_their_dates_equal_the_reference() -> None:
    wanted = golden("system_b/instrument_correlations")
    found = subsystem_correlations(CorrelationEstimate(ew_lookback=25))
    keys = ["fit_start", "fit_end", "period_start", "period_end"]
    assert [tuple(getattr(period, key) for key in keys) for period, _ in found] == list(wanted.groupby(keys).groups)
    for period, correlation in found:
        assert_close(correlation.values, matrix(wanted[wanted["period_start"] == period.period_start]))


# Diversification


def test_the_instrument_multiplier_equals_the_reference() -> None:
    weights = golden("system_b/instrument_weights").set_index("date")
    ours = multiplier_over_time(subsystem_correlations(CorrelationEstimate(ew_lookback=25)), weights)
    assert_close(ours, golden("system_b/idm").set_index("date")["idm"])


def test_forecast_multipliers_equal_the_reference() -> None:
    keys = ["fit_start", "fit_end", "period_start", "period_end"]
    tables = [(key, matrix(long)) for key, long in golden("system_b/forecast_correlations_pooled").groupby(keys)]
    pooled = [(FitPeriod(*key), Correlation(tuple(table.columns), table.to_numpy())) for key, table in tables]
    wanted = golden("system_b/fdm").set_index("date")
    for code, long in golden("system_b/forecast_weights").groupby("instrument"):
        theirs = wanted[str(code)].dropna()
        weights = long.pivot(index="date", columns="rule", values="weight").loc[theirs.index]
        assert_close(multiplier_over_time(pooled, weights), theirs)


# Optimisers


def test_clusters_equal_the_reference_also_for_ties_and_gaps() -> None:
    for case, long in golden("more/clustering_cases").groupby("case"):
        table = matrix(long, "i", "j")
        correlation = Correlation(tuple(map(str, table.columns)), table.to_numpy(), bool(long["boring"].iloc[0]))
        wanted = long.groupby("i")["cluster_of_i"].first()
        assert_same_split(two_clusters(correlation), wanted, str(case))


def assert_same_split(clusters: tuple[Any, Any], wanted: pd.Series, case: str) -> None:
    ours = np.zeros(len(wanted), dtype=int)
    ours[clusters[1]] = 1
    assert (ours == np.asarray(wanted != wanted.iloc[0])).all(), case


def test_multipliers_of_sharpe_ratios_equal_the_reference() -> None:
    for (average, years), table in golden("more/SR_multiplier_table").groupby(["avg_correlation", "years"]):
        relative = table["relative_SR"].to_numpy()
        assert_close(sharpe_multipliers(relative, average, years, solver="slsqp"), table["multiplier"], SEARCHED)
        assert_close(sharpe_multipliers(relative, average, years), table["multiplier"], 0.015)


# Weights of instruments


MOMENTS = MomentEstimate(ew_lookback=50_000, min_periods=5)
INSTRUMENTS = WeightEstimate(
    equalise_SR=True,
    correlation_estimate=CorrelationEstimate(ew_lookback=500_000, min_periods=10, cleaning=False),
    mean_estimate=MOMENTS,
    vol_estimate=MOMENTS,
)


def instrument_weights(
    system: str,
    settings: WeightEstimate,
    solver: Solver,
    *,
    cost_multiplier: float = 1.0,
    equalise_gross: bool = False,
    cost_weights: bool = False,
) -> pd.DataFrame:
    long = golden(f"more/{system}_pandl_across_subsystems_gross_costs_net").set_index("date")
    gross, costs = (long[long["which"] == which].drop(columns="which") for which in ("gross", "costs"))
    cost_sharpe = cost_sharpe_ratios(gross, costs)
    moved = with_equal_means([gross])[0] if equalise_gross else gross
    returns = stack([sums(net_returns(moved, cost_sharpe * cost_multiplier), "W")])
    weights = estimated_weights(returns, settings, solver=solver)
    return with_cost_weights(weights, cost_sharpe, solver) if cost_weights else weights


def assert_weights_equal(ours: pd.DataFrame, theirs: pd.DataFrame, tolerance: float) -> None:
    assert list(ours.index) == list(theirs.index)
    assert_close(ours[theirs.columns], theirs, tolerance)


@pytest.mark.parametrize("solver", SOLVERS)
def test_estimated_instrument_weights_equal_the_reference(solver: Solver) -> None:
    wanted = golden("system_b/instrument_weights_raw").set_index("date")
    assert_weights_equal(instrument_weights("system_b", INSTRUMENTS, solver), wanted, TOLERANCE)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("method", ["handcraft", "shrinkage", "equal_weights", "one_period"])
def test_instrument_weights_by_every_method_equal_the_reference(method: Any, solver: Solver) -> None:
    long = golden("optimisation/system_a_instrument_weights_by_method").query("method == @method")
    wanted = long.pivot(index="date", columns="instrument", values="weight")
    ours = instrument_weights("system_a", changed(INSTRUMENTS, method=method), solver)
    assert_weights_equal(ours, wanted, SEARCHED if solver == "slsqp" else EXACT)


UNEQUAL = changed(INSTRUMENTS, equalise_SR=False)
WEIGHT_VARIANTS: dict[str, tuple[WeightEstimate, dict[str, Any], float]] = {
    "SR_adjusted": (UNEQUAL, {}, EXACT),
    "shrinkage_SR": (changed(UNEQUAL, method="shrinkage", shrinkage_SR=0.5, shrinkage_corr=0.2), {}, EXACT),
    "rolling5": (changed(INSTRUMENTS, date_method="rolling", rollyears=5), {}, TOLERANCE),
    "cost_weight": (INSTRUMENTS, {"cost_weights": True}, EXACT),
    "no_cleaning": (changed(INSTRUMENTS, cleaning=False), {}, TOLERANCE),
    # with twice the costs the search of one period stops further away from the optimum
    "equalise_gross_cost2": (changed(UNEQUAL, method="one_period"), {"equalise_gross": True, "cost_multiplier": 2.0}, 0.02),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("case", WEIGHT_VARIANTS)
def test_variants_of_estimated_instrument_weights_equal_the_reference(case: str, solver: Solver) -> None:
    settings, how, exact = WEIGHT_VARIANTS[case]
    long = golden("more_positions/system_a_estimated_weights_variants").query("case == @case")
    wanted = long.pivot(index="date", columns="instrument", values="weight")
    ours = instrument_weights("system_a", settings, solver, **how)
    assert_weights_equal(ours, wanted, SEARCHED if solver == "slsqp" else exact)
