"""Set settings in the text of a config.toml, and leave everything else in it as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fedcoin.application.configuration.fields import quote

_TABLE = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?")


def set_texts(text: str, table: str, values: Mapping[str, str]) -> str | None:
    """Set settings that are strings, in place of their commented defaults where there are any.

    Args:
        text: The content of config.toml.
        table: The name of the table, such as `tls`.
        values: The new values by name.

    Returns:
        The new content; None when one of the settings is set already.
    """
    lines = text.splitlines()
    heads = [index for index, line in enumerate(lines) if _table_of(line) == table]
    if not heads:
        lines += ["", f"[{table}]"]
        heads = [len(lines) - 1]
    first = heads[0] + 1
    end = next((i for i in range(first, len(lines)) if _table_of(lines[i])), len(lines))
    section = lines[first:end]
    for name, value in values.items():
        setting = re.compile(rf"\s*{re.escape(name)}\s*=")
        if any(setting.match(line) for line in section):
            return None
        commented = re.compile(rf"#\s*{re.escape(name)}\s*=")
        new = f"{name} = {quote(value)}"
        at = next((i for i, line in enumerate(section) if commented.match(line)), None)
        if at is None:
            section.insert(0, new)
        else:
            section[at] = new
    return "\n".join([*lines[:first], *section, *lines[end:]]) + "\n"


def _table_of(line: str) -> str:
    found = _TABLE.fullmatch(line)
    return found[1].strip() if found else ""
