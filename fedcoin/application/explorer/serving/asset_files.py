"""The style sheet, scripts and icon of the pages, which are parts of the package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Final

from fedcoin.application.rendering.template_environment import read_style
from fedcoin.data.crypto.hashing import sha256

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load."""

    path: str
    """Its path on the server; scripts import each other by name, so that all share one version."""
    media_type: str
    """The Content-Type."""
    content: bytes
    """The file's bytes."""


def load_assets() -> dict[str, Asset]:
    """Read all assets of the package.

    Returns:
        The assets by name. Their paths hold a hash of all of them, so that a browser may keep them
        for ever.
    """
    files = {"style.css": read_style()}
    for file in (resources.files("fedcoin.application.explorer.serving") / "assets").iterdir():
        if file.name.endswith(tuple(_TYPES)):
            files[file.name] = file.read_bytes()
    names = sorted(files)
    version = sha256(*(files[name] for name in names)).hex()[:12]
    return {
        name: Asset(f"/assets/{version}/{name}", _TYPES["." + name.rpartition(".")[2]], files[name])
        for name in names
    }
