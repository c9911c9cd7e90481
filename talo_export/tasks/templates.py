"""Jinja templates from data files, in a sandbox: they format one row and reach nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from talo_export.errors import TaloError


@cache
def _environment(strict: bool) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined if strict else jinja2.Undefined,
    )


@cache
def _compiled(template: str, strict: bool) -> jinja2.Template:
    return _environment(strict).from_string(template)


def fill_template(template: str, values: Mapping[str, Any], *, strict: bool = True) -> str:
    """The template's text with a row's values; with `strict` an unknown name is an error.

    Raises: TaloError if the template is malformed, names nothing in the row, or tries to leave
    the sandbox.
    """
    try:
        return _compiled(template, strict).render(values)
    except jinja2.TemplateError as error:
        raise TaloError(f"The template {template[:60]!r} cannot be filled: {error}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise TaloError(
            f"The template {template[:60]!r} fails on this row ({type(error).__name__}: {error})"
        ) from error
