"""The nightly run of a strategy: its optimal positions, its saved state, and why they changed."""
