"""The documents against the code: what they name exists, and their tables say what it does."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    MethodDescriptor,
    ServiceDescriptor,
)

import fedcoin
import fedcoin.v1
from fedcoin.application.cli.root_command import SECTIONS, cli
from fedcoin.application.configuration import config
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.messages.parameters import PARAMETER_RANGES, Parameters
from fedcoin.network.api import node_servicer, task_servicer, transaction_servicer
from fedcoin.network.error_statuses import STATUS_OF
from fedcoin.network.peers.protection.limits import LIMITS
from tests.support.paths import ROOT

PAGES = sorted(
    path for pages in ("*.md", "docs/*.md", "docs/adr/*.md") for path in ROOT.glob(pages)
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=NAMES)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", text)


def blocks(text: str, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(text) if kind == language]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    found = re.findall(r"^#+ (.+)$", prose(page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in found]
    return {heading.replace(" ", "-") for heading in plain}


def rows(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table whose first column is headed so; without its heading."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {heading} |"):
            next(lines)
            break
    found: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            return found
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


# Links and files ------------------------------------------------------------------------------


@EVERY_PAGE
def test_links_resolve(page: Path) -> None:
    for target in LINK.findall(prose(page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(place), f"{page.name} links to {target}"


@EVERY_PAGE
def test_source_files_exist(page: Path) -> None:
    known = {path.name for path in (ROOT / "fedcoin").rglob("*") if path.is_file()}
    for code in CODE.findall(prose(page.read_text(encoding="utf-8"))):
        if not re.fullmatch(r"[\w./]+\.(py|proto|j2|yaml|npz)", code):
            continue
        places = (ROOT / code, ROOT / "fedcoin" / code, ROOT / "proto/fedcoin/v1" / code)
        exists = any(place.exists() for place in places) or code in known
        assert exists or code in {"mnist.npz", "mine.npz", "buf.gen.yaml"}, code


def test_decisions_are_numbered_and_listed() -> None:
    notes = sorted(path.name for path in (ROOT / "docs/adr").glob("*.md"))
    assert [int(name[:4]) for name in notes] == list(range(1, len(notes) + 1))
    listed = re.findall(r"\(adr/([^)]+)\)", read("docs/ARCHITECTURE.md"))
    assert listed == notes
    for name in notes:
        text = read(f"docs/adr/{name}")
        assert text.startswith(f"# {int(name[:4])}. ")
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences"))


def test_changelog_has_this_version() -> None:
    assert f"## {fedcoin.__version__}" in read("CHANGELOG.md")


# Commands -------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of each `fedcoin-node` in code blocks and inline code."""
    pieces = [*blocks(text, "sh"), *CODE.findall(prose(text))]
    for piece in pieces:
        lines = re.sub(r"\\\n\s*", " ", piece).splitlines()
        for line in lines:
            plain = line.partition(" #")[0]
            nested = re.findall(r"\$\((fedcoin-node [^)]*)\)", plain)
            for command in (*nested, re.sub(r"\$\([^)]*\)", "VALUE", plain)):
                for found in re.findall(r"fedcoin-node ([^|;&]+)", command):
                    yield shlex.split(found.replace("...", ""))


def check_command(arguments: list[str]) -> None:
    """Fail unless the command and each of its options exist."""
    command: click.Command = cli
    context = click.Context(cli)
    rest = list(arguments)
    while rest and isinstance(command, click.Group) and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name.isupper():
            return
        found = command.get_command(context, name.partition("|")[0])
        assert found is not None, f"there is no command {arguments}"
        command = found
    known = {"--help", "-h"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    for argument in rest:
        if argument.startswith("--"):
            assert argument.partition("=")[0] in known, f"{argument} in {arguments}"


@EVERY_PAGE
def test_commands_exist(page: Path) -> None:
    for arguments in commands(page.read_text(encoding="utf-8")):
        check_command(arguments)


def test_commands_are_really_found() -> None:
    found = list(commands(read("README.md")))
    assert ["start", "--home", "a", "--mine"] in found
    assert len(found) > 12
    with pytest.raises(AssertionError):
        check_command(["start", "--no-such-option"])
    with pytest.raises(AssertionError):
        check_command(["no-such-command"])


def test_changelog_names_every_command() -> None:
    named = set(CODE.findall(read("CHANGELOG.md")))
    assert {name for section in SECTIONS.values() for name in section} <= named


@EVERY_PAGE
def test_make_targets_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join([*blocks(text, "sh"), *CODE.findall(prose(text))])
    makefile = read("Makefile")
    for target in re.findall(r"^make ([a-z][\w-]*)", code, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target}"


@EVERY_PAGE
def test_environment_variables_exist(page: Path) -> None:
    settings = {f"FEDCOIN_{table}_{name}".upper() for table, name in every_setting()}
    sources = [*(ROOT / "fedcoin").rglob("*.py"), ROOT / "Dockerfile"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    for name in re.findall(r"\bFEDCOIN_[A-Z_]+\b", page.read_text(encoding="utf-8")):
        assert name in settings or f'"{name}"' in source, name


# The API --------------------------------------------------------------------------------------


def descriptors() -> Iterator[Any]:
    for module in pkgutil.iter_modules(fedcoin.v1.__path__):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(f"fedcoin.v1.{module.name}").DESCRIPTOR


def services() -> dict[str, ServiceDescriptor]:
    return {name: s for file in descriptors() for name, s in file.services_by_name.items()}


def messages() -> dict[str, Descriptor]:
    return {name: m for file in descriptors() for name, m in file.message_types_by_name.items()}


def methods() -> dict[str, MethodDescriptor]:
    return {f"{s.name}/{m.name}": m for s in services().values() for m in s.methods}


def test_every_rpc_is_listed() -> None:
    text = read("docs/API.md")
    section = text[text.index("## Services") : text.index("## Reading values")]
    # One part for each service: from where its name stands first.
    starts = sorted((section.index(f"`{name}`"), name) for name in services())
    ends = [start for start, _ in starts[1:]] + [len(section)]
    for (start, name), end in zip(starts, ends, strict=True):
        wanted = {method.name for method in services()[name].methods}
        named = set(CODE.findall(section[start:end]))
        assert wanted <= named, f"{name} lacks {wanted - named}"


def test_rpcs_in_tables_exist() -> None:
    every = {method.name for method in methods().values()}
    text = read("docs/API.md")
    tables = [*rows(text, "RPC"), *rows(text, "stream")]
    assert tables
    for row in tables:
        assert set(CODE.findall(row[0])) <= every, row


@EVERY_PAGE
def test_grpcurl_calls_exist(page: Path) -> None:
    known = methods()
    for block in blocks(page.read_text(encoding="utf-8"), "sh"):
        for line in block.splitlines():
            if not line.startswith("grpcurl"):
                continue
            call = re.search(r" fedcoin\.v1\.(\w+/\w+)$", line)
            if call is None:
                described = re.search(r" describe fedcoin\.v1\.(\w+)$", line)
                assert described is None or described[1] in {**services(), **messages()}, line
                continue
            assert call[1] in known, line
            data = re.search(r" -d '(\{.*\})' ", line)
            given = json.loads(re.sub(r"'\$\w+'", "value", data[1])) if data else {}
            fields = known[call[1]].input_type.fields_by_name
            assert set(given) <= set(fields), line


def test_readme_calls_grpcurl() -> None:
    assert len(re.findall(r"^grpcurl .*fedcoin\.v1\.\w+/\w+$", read("README.md"), re.M)) >= 3


def test_page_sizes_are_the_programs() -> None:
    usual = {name: (int(least), int(most)) for name, least, most in pages_of_lists()}
    assert usual["ListBlocks"] == (node_servicer.BLOCKS_PAGE, node_servicer.MAX_BLOCKS_PAGE)
    assert usual["ListValidators"] == (node_servicer.VALIDATORS_PAGE,) * 2
    assert usual["ListTasks"] == (task_servicer.PAGE, task_servicer.MAX_PAGE)
    pending = (transaction_servicer.PENDING_PAGE, transaction_servicer.MAX_PENDING_PAGE)
    assert usual["ListPendingTransactions"] == pending


def pages_of_lists() -> Iterator[tuple[str, str, str]]:
    text = read("docs/API.md")
    for names, usual, most in rows(text[text.index("## Pages") :], "RPC"):
        for name in CODE.findall(names):
            yield name, usual, most


# Settings and protocol ------------------------------------------------------------------------


def every_setting() -> list[tuple[str, str]]:
    found = config.tables().items()
    return [(table, field.name) for table, make in found for field in dataclasses.fields(make)]


def test_settings_are_the_programs() -> None:
    found = [
        (name.strip("`"), default.strip("`"), what)
        for name, default, what in rows(read("docs/OPERATIONS.md"), "setting")
    ]
    wanted = [
        (
            f"{table}.{field.name}",
            field.metadata["kind"].render(field.default),
            field.metadata["doc"],
        )
        for table, make in config.tables().items()
        for field in dataclasses.fields(make)
    ]
    assert found == wanted


@EVERY_PAGE
def test_named_settings_exist(page: Path) -> None:
    known = {f"{table}.{name}" for table, name in every_setting()}
    text = page.read_text(encoding="utf-8")
    candidates = [*CODE.findall(prose(text)), *re.findall(r"--set ([\w.]+)=", text)]
    for code in candidates:
        table, dot, name = code.partition("=")[0].partition(".")
        if dot and table in config.tables() and re.fullmatch(r"[a-z_]+", name):
            assert f"{table}.{name}" in known or name in {"json", "toml", "py", "proto"}, code


def test_parameters_are_the_programs() -> None:
    table = rows(read("docs/PROTOCOL.md"), "parameter")
    assert [row[0].strip("`") for row in table] == [f.name for f in dataclasses.fields(Parameters)]
    for name, default, allowed in table:
        field = name.strip("`")
        assert number(default) == getattr(Parameters(), field), field
        low, high = re.split(" to ", allowed.partition(";")[0])
        most = 2**63 - 1 if high == "2^63 - 1" else number(high)
        assert (number(low), most) == PARAMETER_RANGES[field], field


def test_limits_are_the_programs() -> None:
    found = {
        name: tuple(number(cell) for cell in cells)
        for name, *cells in rows(read("docs/PROTOCOL.md"), "message")
    }
    wanted = {
        kind: (limit.max_bytes, int(limit.rate), limit.burst, limit.concurrent)
        for kind, limit in LIMITS.items()
    }
    assert found == wanted


def enum_values(values: dict[str, EnumDescriptor]) -> Iterator[str]:
    """Names of enum values, without the enum's name before them too."""
    for enum in values.values():
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.name).upper() + "_"
        for value in enum.values:
            yield value.name
            yield value.name.removeprefix(prefix)


@EVERY_PAGE
def test_codes_and_choices_exist(page: Path) -> None:
    known = {name for _, name in STATUS_OF} | {status.name for status in STATUS_OF.values()}
    for file in descriptors():
        known |= set(enum_values(file.enum_types_by_name))
    known |= {code.value for code in ApplicationCode}
    known |= {"UNIMPLEMENTED", "SERVING", "FINAL", "BASE"}
    known |= {"METHODS", "ACTIONS"}  # tables in the code
    for code in CODE.findall(prose(page.read_text(encoding="utf-8"))):
        if re.fullmatch(r"(?!FEDCOIN_)[A-Z][A-Z0-9]+(_[A-Z0-9]+)*", code) and len(code) > 2:
            assert code in known, f"{page.name}: {code}"


# Examples -------------------------------------------------------------------------------------


def test_library_example_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    text = read("README.md")
    example = next(block for block in blocks(text, "python") if "shapley.estimate" in block)
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed in blocks(text, "text")


@EVERY_PAGE
def test_python_examples_compile_and_import(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        compile(block, page.name, "exec")
        for module, names in re.findall(r"^from (fedcoin[\w.]*) import (.+)$", block, re.MULTILINE):
            for name in names.split(", "):
                owner = importlib.import_module(module)
                try:
                    getattr(owner, name)
                except AttributeError:
                    importlib.import_module(f"{module}.{name}")
