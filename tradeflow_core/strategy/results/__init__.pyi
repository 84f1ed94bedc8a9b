from .curve_statistics import (
    ALL_STATISTICS as ALL_STATISTICS,
    compare as compare,
    statistic_over_members as statistic_over_members,
    statistics as statistics,
    statistics_text as statistics_text,
)
from .curves import PARTS as PARTS, AccountCurve as AccountCurve, CurveGroup as CurveGroup, portfolio_curve as portfolio_curve
from .order_simulators import simulated_curve as simulated_curve, simulated_curves as simulated_curves
from .sheet import tear_sheet as tear_sheet
from .summary import Summary as Summary, summarise as summarise, summary_tables as summary_tables
from .turnovers import turnover_table as turnover_table
