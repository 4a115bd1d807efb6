"""A function whose first worker dies when it is to be called."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


class DeadlyOnce:
    """Stands for a function of a module in calls of a worker; the first worker is killed.

    Args:
        function: What later workers call.
        marker: A file that is made when the first one is killed.
    """

    def __init__(self, function: Callable[..., Any], marker: Path) -> None:
        self._function = function
        self._marker = marker

    def __call__(self, *_: object) -> object:
        raise AssertionError("called in the parent")

    def __reduce__(self) -> tuple[object, ...]:
        # By its name: what stands in its module now is this object.
        return _die_or_take, (self._function.__module__, self._function.__name__, self._marker)


def _die_or_take(module: str, name: str, marker: Path) -> object:
    """In the worker, which unpickles a call: take the function, or die."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return getattr(import_module(module), name)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("survived SIGKILL")
