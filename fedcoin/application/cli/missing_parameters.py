"""All options and arguments that a command line lacks, in one error.

click stops at the first one, so that each run of the command would name one more.
"""

from __future__ import annotations

from collections.abc import Iterator

import click
from click.core import ParameterSource


def name_all_missing(error: click.MissingParameter) -> click.UsageError:
    """Extend click's error about one missing parameter to all that the command line lacks.

    Args:
        error: What click raised while it read the command line.

    Returns:
        The same error if one parameter is missing, else one that names all of them, in the order of
        the command's help.
    """
    context, first = error.ctx, error.param
    if context is None or first is None:
        return error
    missing = list(_missing(context, first))
    if len(missing) < 2:
        return error
    names = ", ".join(parameter.get_error_hint(context) for parameter in missing)
    return click.UsageError(f"Missing: {names}. All of them are needed.", context)


def _missing(context: click.Context, first: click.Parameter) -> Iterator[click.Parameter]:
    for parameter in context.command.get_params(context):
        if parameter is first:
            yield parameter
        elif parameter.required and parameter.name is not None:
            # click reads what is on the command line first: without a source, it was not there.
            is_unread = context.get_parameter_source(parameter.name) is None
            _, source = parameter.consume_value(context, {})
            if is_unread and source is ParameterSource.DEFAULT:
                yield parameter
