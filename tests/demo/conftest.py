"""Fixtures of the demo's tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "demo_model"


@pytest.fixture(scope="session")
def curriculum() -> ModuleType:
    """The module that makes the training examples, read from `examples/demo_model`."""
    spec = importlib.util.spec_from_file_location("demo_curriculum", EXAMPLE / "curriculum.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
