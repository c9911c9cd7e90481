"""The Python API: what is documented runs."""

from __future__ import annotations

import doctest

from talo_export import api


def test_the_examples_in_its_documentation_run() -> None:
    found = doctest.testmod(api)
    assert found.attempted >= 5
    assert found.failed == 0
