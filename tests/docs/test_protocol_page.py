"""The tables of docs/PROTOCOL.md give the program's parameters and message limits."""

from __future__ import annotations

import dataclasses
import re

from fedcoin.data.messages.parameters import PARAMETER_RANGES, Parameters
from fedcoin.network.peers.protection.limits import LIMITS
from tests.support.documents import parse_number, read, table_rows


def test_parameters_have_the_programs_defaults_and_ranges() -> None:
    table = table_rows(read("docs/PROTOCOL.md"), "parameter")
    assert [row[0].strip("`") for row in table] == [f.name for f in dataclasses.fields(Parameters)]
    for name, default, allowed in table:
        field = name.strip("`")
        assert parse_number(default) == getattr(Parameters(), field), field
        low, high = re.split(" to ", allowed.partition(";")[0])
        maximum = 2**63 - 1 if high == "2^63 - 1" else parse_number(high)
        assert (parse_number(low), maximum) == PARAMETER_RANGES[field], field


def test_message_limits_are_those_of_the_program() -> None:
    listed = {
        name: tuple(parse_number(cell) for cell in cells)
        for name, *cells in table_rows(read("docs/PROTOCOL.md"), "message")
    }
    assert listed == {
        kind: (limit.max_bytes, int(limit.rate), limit.burst, limit.concurrent)
        for kind, limit in LIMITS.items()
    }
