"""Every analysis is one file, found by its name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from talo_export.errors import UsageError
from talo_export.evidence.analyses import analysis, names, summary


def test_each_analysis_of_the_paper_is_there() -> None:
    assert set(names()) == {
        "answers", "cases", "clusters", "fills", "heatmap", "modules", "pairs", "shots",
        "side-effects", "stability", "transfer", "vectors",
    }  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_an_analysis_is_called_by_its_files_name_and_told_by_its_first_line(name: str) -> None:
    assert callable(analysis(name))
    assert 20 < len(summary(name)) < 90


def test_an_unknown_analysis_is_told_those_there_are() -> None:
    with pytest.raises(UsageError, match="unknown analysis 'nothing'; there are answers, cases"):
        analysis("nothing")


def test_naming_them_imports_none() -> None:
    script = (
        "import sys; from talo_export.evidence.analyses import names, summary; "
        "[summary(name) for name in names()]; "
        "sys.exit('numpy' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
