"""What pages and sources say of each other: labels, keys, files of a home, and sections."""

from __future__ import annotations

import re
from functools import cache

from fedcoin.application.configuration import home
from fedcoin.contract.state import records
from fedcoin.data.crypto.hashing import SigningContext
from tests.support.documents import find_inline_code, read, table_rows
from tests.support.paths import PACKAGE, PROTO, ROOT

PROTOCOL = read("docs/PROTOCOL.md")
LABEL = r"fedcoin/[a-z-]+/v\d+"


@cache
def source() -> str:
    """Return the text of all Python, JavaScript and proto files."""
    paths = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.js"), *PROTO.rglob("*.proto")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def test_labels_of_hashed_data_are_those_of_the_program() -> None:
    named = set(re.findall(LABEL, PROTOCOL))
    assert named <= set(re.findall(rf'"({LABEL})', source()))
    assert {context.value for context in SigningContext} <= named


def test_keys_of_the_state_are_those_of_the_program() -> None:
    listed = [re.findall("`([a-z]+/)`", key)[0] for key, _ in table_rows(PROTOCOL, "key")]
    tables = (records.Table, records.Index)
    prefixes = {each.prefix for each in vars(records).values() if isinstance(each, tables)}
    assert sorted(listed) == sorted(prefix.decode() for prefix in prefixes)


def test_files_of_a_home_are_those_of_the_program() -> None:
    rows = table_rows(read("docs/OPERATIONS.md"), "entry")
    entries = {name for entry, *_ in rows for name in find_inline_code(entry)}
    listed = {re.sub(r"(?<=/).+", "", name) for name in entries if not name.startswith("-")}
    described = re.findall(r"^([\w./]+) {2,}\S", home.__doc__ or "", re.MULTILINE)
    assert listed == set(described)


def test_key_files_have_the_ending_that_homes_give_them() -> None:
    examples = [*(ROOT / "examples").rglob("*.toml"), *(ROOT / "examples").rglob("*.py")]
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in (*pages, *examples))
    named = re.findall(r'keys/[\w-]+(\.\w+)|fedcoin-key="[\w/-]+(\.\w+)"', text)
    ending = home.Home(ROOT).key_path("node").suffix
    assert len(named) > 3
    # Beside a key lie the votes that were cast with it, what it signed elsewhere, and the note that
    # it has signed nothing.
    beside = {".votes", ".signed", ".unused"}
    assert {first or second for first, second in named} - beside == {ending}


def test_sections_of_the_protocol_that_sources_name_exist() -> None:
    named = set(re.findall(r"docs/PROTOCOL\.md,[\s/#]+section (\d+)", source()))
    assert len(named) > 5
    assert named <= set(re.findall(r"^## (\d+) ", PROTOCOL, re.MULTILINE))


def test_pages_that_sources_name_exist() -> None:
    named = set(re.findall(r"docs/[\w/-]+\.md", source()))
    assert "docs/FILES.md" in named
    assert {page for page in named if not (ROOT / page).is_file()} == set()
