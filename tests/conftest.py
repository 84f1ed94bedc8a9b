"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("TRADEFLOW_SHARED", REPO.parent / "shared"))


def needs_shared(*parts: str) -> pytest.MarkDecorator:
    """Skip a test, with the reason, where the reference data does not lie beside the repository."""
    path = SHARED.joinpath(*parts)
    return pytest.mark.skipif(not path.exists(), reason=f"needs reference data: {'/'.join(('../shared', *parts))} is absent")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data and golden figures, or a skip."""
    if not SHARED.exists():
        pytest.skip("needs reference data: ../shared is absent")
    return SHARED
