"""Make the Jinja2 environment of a package's templates."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from fedcoin.application.rendering import page_formats
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.client_names import show_name
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from jinja2 import Environment


def make_environment(package: str) -> Environment:
    """Make an environment that escapes whatever a template is given.

    Args:
        package: The package whose folder `templates` holds the pages. They can also include the
            templates of this package.

    Returns:
        The environment: undefined names are errors, and the formats of `page_formats` are filters.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader(
            [PackageLoader(package), PackageLoader("fedcoin.application.rendering")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        amount=format_amount,
        rounded_amount=page_formats.format_rounded,
        total=page_formats.format_total,
        value=page_formats.format_value,
        fraction=page_formats.format_fraction,
        percent=page_formats.format_percent,
        moment=page_formats.format_moment,
        iso_moment=page_formats.format_iso_moment,
        duration=page_formats.format_duration,
        size=page_formats.format_size,
        short=page_formats.shorten,
        counted=format_count,
        claimed=show_name,
    )
    return environment


def read_style() -> bytes:
    """Read the style sheet that all pages share.

    Returns:
        The CSS, in UTF-8.
    """
    folder = resources.files("fedcoin.application.rendering") / "templates"
    return (folder / "style.css").read_bytes()
