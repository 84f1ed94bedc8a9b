"""Tradeflow as a Dagster asset graph: thin assets over the steps of `tradeflow_core`."""
