"""From trading rules to one forecast per instrument."""
