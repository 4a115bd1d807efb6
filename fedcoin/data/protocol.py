"""The version of everything that nodes must agree on: messages, blocks and the rules for them."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 2
"""Peers must have the same version, and a database holds a chain of one version."""
