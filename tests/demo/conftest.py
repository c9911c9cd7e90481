"""Fixtures of the demo's tests."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo_model"


@pytest.fixture(scope="session")
def curriculum() -> ModuleType:
    """The module that makes the training examples, read from `examples/demo_model`."""
    sys.path.insert(0, str(EXAMPLE))
    try:
        return importlib.import_module("curriculum")
    finally:
        sys.path.remove(str(EXAMPLE))
