"""Count the house: files, lines, code, definitions, and the files that a verb enters.

    python tests/house/count.py [CHECKOUT] [--enter]

A line of code holds a token that is neither comment nor docstring. With `--enter` the demo is
probed, exported and verified in this process, with the package of CHECKOUT, and the files counted
in which a function ran.
"""

from __future__ import annotations

import ast
import io
import sys
import tempfile
import tokenize
from pathlib import Path
from types import FrameType

SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENCODING, tokenize.ENDMARKER,
}  # fmt: skip
WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(text: str) -> int:
    """How many lines hold a token that is neither comment nor docstring."""
    tree = ast.parse(text)
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
            docstrings.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def counts(package: Path) -> dict[str, int]:
    """The figures of every Python file below `package`."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py"))]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        "files": len(texts),
        "lines": sum(len(text.splitlines()) for text in texts),
        "lines of code": sum(map(code_lines, texts)),
        "functions": sum(isinstance(node, functions) for node in nodes),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "dict[str, Any]": sum(text.count("dict[str, Any]") for text in texts),
        "typer.Option(": sum(text.count("typer.Option(") for text in texts),
    }


def entered(checkout: Path, *arguments: str) -> int:
    """How many of the package's files a function runs in while the command does its work."""
    package, files = str(checkout / "talo_export"), set[str]()

    def see(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_name != "<module>" and code.co_filename.startswith(package):
            files.add(code.co_filename)

    from talo_export.cli.app import app

    sys.setprofile(see)
    try:
        app(list(arguments), standalone_mode=False)
    finally:
        sys.setprofile(None)
    return len(files)


def main() -> None:
    """Print the figures of a checkout, this one where none is named."""
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    checkout = Path(words[0] if words else Path(__file__).parents[2]).resolve()
    for name, number in counts(checkout / "talo_export").items():
        print(f"{name:16} {number:6}")
    if "--enter" in sys.argv:
        sys.path.insert(0, str(checkout))
        with tempfile.TemporaryDirectory() as folder:
            run, out = f"{folder}/run", f"{folder}/export"
            probed = entered(checkout, "probe", "--task", "maps", "--out", run, "--quiet")
            entered(checkout, "export", "--layer", "2", "--out", out, "--quiet")
            print(f"probe enters     {probed:6}")
            print(f"verify enters    {entered(checkout, 'verify', out, '--quiet'):6}")


if __name__ == "__main__":
    main()
