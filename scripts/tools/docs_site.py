"""Hooks of `mkdocs build`: pages that are made from the sources.

mkdocs calls `on_config`, `on_files` and `on_page_markdown`. They add to the site

* the pages at the top of the repository: README as the overview, CONTRIBUTING and the others,
* one page for each folder of `fedcoin/`, which mkdocstrings fills from the docstrings,
* one page for each file of `proto/fedcoin/v1`, made by `proto_reference` from its comments,

and turn links that leave `docs/` into links that exist on the site.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
"""The pages of the repository's root, with their paths on the site."""

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
"""Matches a link of Markdown: its text and its target."""


def folders() -> Iterator[Path]:
    """List the folders of `fedcoin/` that hold modules, without the generated stubs.

    Yields:
        Paths relative to the repository, parents first.
    """
    for init in sorted((ROOT / "fedcoin").rglob("__init__.py")):
        folder = init.parent.relative_to(ROOT)
        if folder.parts[:2] != ("fedcoin", "v1"):
            yield folder


def python_page(folder: Path) -> str:
    """Write the reference page of a folder: its docstring, then each of its modules.

    Args:
        folder: A package, relative to the repository.

    Returns:
        Markdown with mkdocstrings' directives.
    """
    package = ".".join(folder.parts)
    modules = sorted(path.stem for path in (ROOT / folder).glob("*.py") if path.stem[0] != "_")
    names = [package, *(f"{package}.{module}" for module in modules)]
    return "\n".join([f"# {package}\n", *(f"::: {name}\n" for name in names)])


def proto_pages() -> Iterator[tuple[str, str]]:
    """Write the reference pages of the wire format.

    Yields:
        Each page's file name below `reference/proto/`, and its Markdown.
    """
    # mkdocs loads a hook outside any package, so its neighbours are found by the path alone.
    sys.path.insert(0, str(ROOT))
    from scripts.tools import proto_reference

    yield from proto_reference.pages(ROOT / "proto")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the decisions and the reference to the navigation.

    Args:
        config: mkdocs' configuration.

    Returns:
        The same configuration.
    """
    decisions = sorted(path.name for path in (ROOT / "docs" / "adr").glob("*.md"))
    python = ["index", *(".".join(folder.parts) for folder in folders())]
    proto = sorted(path.stem for path in (ROOT / "proto").rglob("*.proto"))
    assert config.nav is not None
    config.nav += [
        {"Decisions": [f"adr/{name}" for name in decisions]},
        {"Python reference": [f"reference/python/{name}.md" for name in python]},
        {"Protobuf reference": [f"reference/proto/{name}.md" for name in ("index", *proto)]},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the site's files.

    Args:
        files: What mkdocs found in `docs/`.
        config: mkdocs' configuration.

    Returns:
        The same collection, with the generated pages.
    """
    from mkdocs.structure.files import File

    def add(path: str, content: str) -> None:
        files.append(File.generated(config, path, content=content))

    for source, path in TOP_PAGES.items():
        add(path, (ROOT / source).read_text(encoding="utf-8"))
    listed = ["# Python reference\n", "One page for each folder of `fedcoin/`.\n"]
    for folder in folders():
        name = ".".join(folder.parts)
        add(f"reference/python/{name}.md", python_page(folder))
        listed.append(f"* [{name}]({name}.md)")
    add("reference/python/index.md", "\n".join(listed))
    for name, content in proto_pages():
        add(f"reference/proto/{name}", content)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links that leave `docs/` into links that exist on the site.

    Args:
        markdown: A page's text.
        page: mkdocs' object of that page, with its path.
        config: mkdocs' configuration.
        files: All files of the site.

    Returns:
        The text, with links to files that are not part of the site replaced by their labels.
    """
    del config, files
    uri = page.file.src_uri
    if uri.startswith("reference/"):
        return markdown
    at_top = uri in TOP_PAGES.values()

    def relink(match: re.Match[str]) -> str:
        label, target = match.groups()
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            return match.group(0)
        path, _, anchor = target.partition("#")
        suffix = f"#{anchor}" if anchor else ""
        place = (ROOT if at_top else (ROOT / "docs" / uri).parent) / path
        inside = relative(place.resolve())
        return match.group(0) if inside is None else f"[{label}]({up(uri)}{inside}{suffix})"

    text = LINK.sub(relink, markdown)
    return re.sub(r"\[([^\]]+)\]\([^)\s]*!none\)", r"\1", text)


def relative(path: Path) -> str | None:
    """Find the place of a file of the repository on the site.

    Args:
        path: An absolute path.

    Returns:
        Its path on the site; `!none` for what the site does not have.
    """
    if path.is_relative_to(ROOT / "proto"):
        return "reference/proto/index.md"
    if path.is_relative_to(ROOT / "docs"):
        if path.is_dir():
            return "ARCHITECTURE.md#decisions" if path.name == "adr" else "!none"
        return path.relative_to(ROOT / "docs").as_posix()
    return TOP_PAGES.get(path.relative_to(ROOT).as_posix(), "!none")


def up(uri: str) -> str:
    """Give the way from a page to the top of the site.

    Args:
        uri: The page's path on the site.

    Returns:
        `../` for each folder that the page lies in.
    """
    return "../" * uri.count("/")
