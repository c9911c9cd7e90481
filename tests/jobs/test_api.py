"""The Python API: what is documented runs, and every function is there to import."""

from __future__ import annotations

import doctest
import inspect

import talo_export
from talo_export import api


def test_the_examples_in_its_documentation_run() -> None:
    found = doctest.testmod(api)
    assert found.attempted >= 5
    assert found.failed == 0


def test_every_public_function_is_exported_typed_and_documented() -> None:
    functions = {
        name: value
        for name, value in vars(api).items()
        if inspect.isfunction(value)
        and value.__module__ == api.__name__
        and not name.startswith("_")
    }
    assert set(functions) == set(talo_export.__all__) - {"__version__"}
    for name, function in functions.items():
        assert getattr(talo_export, name) is function
        assert function.__doc__, name
        hints = inspect.get_annotations(function)
        assert {*inspect.signature(function).parameters, "return"} == set(hints), name
