"""A planted case: a model, and a task whose right answers are what it says without layer 2."""

from __future__ import annotations

import pytest
from planted_case import Planted, plant


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Knocking out the attention of layer `PLANTED` makes nine answers in ten right."""
    return plant(tmp_path_factory.mktemp("planted"))
