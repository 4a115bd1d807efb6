"""Every error code, status and enum value on a page exists."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import EnumDescriptor

from fedcoin.application.errors import ApplicationCode
from fedcoin.network.error_statuses import STATUS_OF
from tests.support.documents import find_inline_code, read_pages
from tests.support.wire_descriptors import file_descriptors

OTHER_CAPITALS = {
    "NUM_STEPS_CURRENT_ROUND",  # A key of NVFlare.
    # Statuses of gRPC calls and of its health service that no code of this program maps to.
    "UNIMPLEMENTED", "SERVING",
    # Short names of enum values.
    "FINAL", "BASE",
    # Tables in the source.
    "METHODS", "ACTIONS",
    # Variables that Ray reads.
    "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH",
}  # fmt: skip


def value_names(enums: dict[str, EnumDescriptor]) -> Iterator[str]:
    """Yield each enum value's name with and without the prefix that the enum gives it."""
    for enum in enums.values():
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper() + "_"
        for value in enum.values:
            yield value.name
            yield value.name.removeprefix(prefix)


@pytest.fixture(scope="module")
def known_codes() -> set[str]:
    codes = {name for _, name in STATUS_OF} | {status.name for status in STATUS_OF.values()}
    codes |= {code.value for code in ApplicationCode}
    for file in file_descriptors():
        codes |= set(value_names(file.enum_types_by_name))
    return codes | OTHER_CAPITALS


def test_codes_and_choices_exist(known_codes: set[str]) -> None:
    for page, text in read_pages().items():
        for code in find_inline_code(text):
            if re.fullmatch(r"(?!FEDCOIN_)[A-Z][A-Z0-9]+(_[A-Z0-9]+)*", code) and len(code) > 2:
                assert code in known_codes, f"{page}: {code}"
