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
    return click.UsageError(f"Missing: {', '.join(missing)}. All of them are needed.", context)


def _missing(context: click.Context, first: click.Parameter) -> Iterator[str]:
    # Not at the top: every command imports this module, and what options need is slow to import.
    from fedcoin.application.cli.shared.options import AlternativeOption

    parameters = {parameter.name: parameter for parameter in context.command.get_params(context)}
    for parameter in parameters.values():
        hint = parameter.get_error_hint(context)
        if parameter is first or (parameter.required and _is_absent(parameter, context)):
            yield hint
        elif isinstance(parameter, AlternativeOption):
            other = parameters[parameter.alternative]
            if _is_absent(parameter, context) and _is_absent(other, context):
                yield f"either {other.get_error_hint(context)} or {hint}"


def _is_absent(parameter: click.Parameter, context: click.Context) -> bool:
    # click reads what is on the command line first: without a source, it was not there.
    is_unread = parameter.name is None or context.get_parameter_source(parameter.name) is None
    _, source = parameter.consume_value(context, {})
    return is_unread and source is ParameterSource.DEFAULT
