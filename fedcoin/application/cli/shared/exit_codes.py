"""The exit codes of commands that did not do what they were asked to."""

from __future__ import annotations

from typing import Final

FAILED: Final = 1
"""The command failed."""
WRONG_USAGE: Final = 2
"""The arguments were wrong."""
NODE_FAILED: Final = 3
"""A node could not store, sync, vote or mine, when it started or later."""
