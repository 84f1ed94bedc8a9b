from .sr_costs import turnover as turnover
