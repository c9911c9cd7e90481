"""Jinja templates from data files, in a sandbox: they format one row and reach nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from talo_export.errors import TaloError


def _regex_replace(text: str, pattern: str, replacement: str, count: int = 0) -> str:
    """The one filter that lm-eval adds to Jinja's own."""
    return re.sub(pattern, replacement, text, count=count)


ENVIRONMENT = ImmutableSandboxedEnvironment(
    keep_trailing_newline=True, undefined=jinja2.StrictUndefined
)
ENVIRONMENT.filters["regex_replace"] = _regex_replace


@cache
def _compiled(template: str) -> jinja2.Template:
    return ENVIRONMENT.from_string(template)


def fill_template(template: str, values: Mapping[str, Any]) -> str:
    """The template's text with a row's values; a name that the row lacks is an error.

    Raises: TaloError if the template is malformed, names nothing in the row, or tries to leave
    the sandbox.
    """
    try:
        return _compiled(template).render(values)
    except jinja2.TemplateError as error:
        raise TaloError(f"The template {template[:60]!r} cannot be filled: {error}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise TaloError(
            f"The template {template[:60]!r} fails on this row ({type(error).__name__}: {error})"
        ) from error
