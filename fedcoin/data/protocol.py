"""The version of everything that nodes must agree on: messages, blocks and the rules for them."""

from __future__ import annotations

from typing import Final

PROTOCOL_VERSION: Final = 2
"""Peers must have the same version, and a database holds a chain of one version."""

STATE_LAYOUT: Final = 2
"""The form of the state's entries: which there are, and the fields of their messages.

A database or snapshot holds a state of one layout. It rises with each change of keys or fields
between versions of the program, also where the protocol's version stays."""
