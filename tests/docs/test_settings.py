"""The settings on the pages, and their environment variables, are those of the program."""

from __future__ import annotations

import dataclasses
import re

from fedcoin.application.configuration import config
from tests.support.documents import find_inline_code, read, read_pages, table_rows
from tests.support.paths import PACKAGE, ROOT

SETTINGS = [
    (table, field) for table, make in config.tables().items() for field in dataclasses.fields(make)
]
NAMES = {f"{table}.{field.name}" for table, field in SETTINGS}
FILE_ENDINGS = {"json", "toml", "py", "proto"}


def test_operations_page_lists_every_setting() -> None:
    listed = [
        (name.strip("`"), default.strip("`"), meaning)
        for name, default, meaning in table_rows(read("docs/OPERATIONS.md"), "setting")
    ]
    assert listed == [
        (
            f"{table}.{field.name}",
            field.metadata["kind"].render(field.default),
            field.metadata["doc"],
        )
        for table, field in SETTINGS
    ]


def test_named_settings_exist() -> None:
    tables = config.tables()
    for page, text in read_pages().items():
        for code in [*find_inline_code(text), *re.findall(r"--set ([\w.]+)=", text)]:
            table, dot, name = code.partition("=")[0].partition(".")
            if dot and table in tables and re.fullmatch(r"[a-z_]+", name):
                assert f"{table}.{name}" in NAMES or name in FILE_ENDINGS, f"{page}: {code}"


def test_environment_variables_exist() -> None:
    variables = {f"FEDCOIN_{name.replace('.', '_')}".upper() for name in NAMES}
    sources = [*PACKAGE.rglob("*.py"), ROOT / "Dockerfile"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    for page, text in read_pages().items():
        for name in re.findall(r"\bFEDCOIN_[A-Z_]+\b", text):
            assert name in variables or f'"{name}"' in source, f"{page}: {name}"
