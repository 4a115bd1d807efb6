"""A sandbox for worker processes: bubblewrap (`bwrap`), where the machine has it and lets it work.

A worker reads files of strangers with large libraries. In the sandbox a worker that was taken over
has no network, sees no process but its own, and reads nothing but the programs that it runs and the
folders that its jobs' files are in. Everything is read-only but a small `/tmp` of its own. The
limit on its memory is set in `child_main`, with and without a sandbox.

The sandbox needs no rights: bubblewrap makes user, mount, network, PID and IPC namespaces as any
user may, where the kernel allows it. Docker's default seccomp filter does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import fedcoin
from fedcoin.learning.errors import WorkerError

PROGRAM = "bwrap"
"""The program of bubblewrap; version 0.7 or later."""

SANDBOX_MODES = ("auto", "off", "require")
"""The values of the setting: a sandbox where it works, never one, or an error without one."""

TMP = "/tmp"  # noqa: S108 - a folder of the sandbox's own, which no other user can reach
"""The only folder in the sandbox that can be written."""

TMP_BYTES = 16 << 20
"""The size of `TMP`, in bytes."""

PROBE_SECONDS = 20.0
"""How long the trial of a sandbox may take, in seconds."""

_SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_LIBRARY_CACHE = "/etc/ld.so.cache"

# No capabilities, no namespace shared with the machine, and no way to a terminal.
_ISOLATION = ("--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL")


class NoSandboxError(WorkerError):
    """The machine has no bubblewrap, or does not let it work; the message says which."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """How to start a program in a sandbox. `find_sandbox` makes one that works."""

    program: str
    """The path of bubblewrap."""
    readable: tuple[Path, ...]
    """Folders and files that the program may read, beside Python and its libraries."""
    hidden: tuple[Path, ...] = ()
    """Folders that look empty even if they are inside a folder of Python's or of libraries; what is
    `readable` inside them can be read."""

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs another command in the sandbox.

        Args:
            command: A program of this machine and its arguments.

        Returns:
            The program and the arguments to start instead.
        """
        return [self.program, *self._options(), "--", *command]

    def _options(self) -> Iterator[str]:
        yield from _ISOLATION
        # First, because the other folders may be inside `/tmp`.
        yield from ("--dev", "/dev", "--proc", "/proc", "--size", str(TMP_BYTES), "--tmpfs", TMP)
        yield from _bind_system()
        hidden = [os.path.realpath(path) for path in self.hidden]
        listed = [p for p in _python_folders() if os.path.realpath(p) not in hidden]
        inside = [path for path in listed if _is_inside(os.path.realpath(path), hidden)]
        programs = _outermost([path for path in listed if path not in inside])
        for path in programs:
            yield from ("--ro-bind", path, path)
        masks = list(_masks(hidden, [TMP, *_SYSTEM_FOLDERS, *programs]))
        for mask in masks:
            yield from ("--tmpfs", mask)
        for path in [*_outermost(inside), *map(os.path.abspath, self.readable)]:
            yield from ("--ro-bind", path, path)
        for path in (*masks, "/dev", "/"):
            yield from ("--remount-ro", path)
        yield from ("--setenv", "HOME", TMP, "--setenv", "TMPDIR", TMP, "--chdir", "/")


def find_sandbox(readable: Iterable[Path], hidden: Iterable[Path] = ()) -> Sandbox:
    """Find bubblewrap, and try whether Python runs in its sandbox. Takes some 50 ms.

    Args:
        readable: Folders and files that the workers must read; they must exist.
        hidden: Folders that the workers must not read, such as the folder of the node's keys.

    Returns:
        A sandbox in which Python has run once.

    Raises:
        NoSandboxError: There is no bubblewrap, or it does not work.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise NoSandboxError(f"there is no program {PROGRAM}: install bubblewrap")
    sandbox = Sandbox(program, tuple(readable), tuple(hidden))
    # Without the site packages, which take longer to find than the sandbox takes to start.
    trial = sandbox.wrap([sys.executable, "-I", "-S", "-c", "pass"])
    try:
        ended = subprocess.run(
            trial, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSandboxError(f"{program} does not run: {error}") from error
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise NoSandboxError(f"{program} ended with {ended.returncode}: {said[0][:200]}")
    return sandbox


def choose_sandbox(
    mode: str, readable: Iterable[Path], hidden: Iterable[Path] = ()
) -> tuple[Sandbox | None, str]:
    """Find the sandbox that a setting asks for.

    Args:
        mode: One of `SANDBOX_MODES`.
        readable: Folders and files that the workers must read; they must exist.
        hidden: Folders that the workers must not read, such as the folder of the node's keys.

    Returns:
        The sandbox or None, and a phrase for status and log: `bubblewrap`, or `none: ` and the
        reason.

    Raises:
        NoSandboxError: The mode is `require`, and there is no sandbox that works.
    """
    if mode == "off":
        return None, "none: switched off"
    try:
        return find_sandbox(readable, hidden), "bubblewrap"
    except NoSandboxError as error:
        if mode == "require":
            raise
        return None, f"none: {error}"


def _bind_system() -> Iterator[str]:
    for folder in _SYSTEM_FOLDERS:
        if os.path.islink(folder):
            yield from ("--symlink", os.readlink(folder), folder)
        elif os.path.isdir(folder):
            yield from ("--ro-bind", folder, folder)
    yield from ("--ro-bind-try", _LIBRARY_CACHE, _LIBRARY_CACHE)


def _python_folders() -> list[str]:
    """List the folders of the interpreter and of its libraries.

    The current folder is not among them, although it may be on the import path: it can hold
    anything. This package is, wherever it was imported from.
    """
    current = os.getcwd()
    entries = [os.path.abspath(entry) for entry in sys.path if entry]
    package = os.path.dirname(os.path.abspath(fedcoin.__file__))
    listed = [sys.prefix, sys.base_prefix, package, *(e for e in entries if e != current)]
    return [path for path in listed if os.path.exists(path) and not _is_inside(path, ["/usr"])]


def _outermost(paths: Iterable[str]) -> list[str]:
    """Leave out paths that are inside another one."""
    outermost: list[str] = []
    for path in sorted(paths, key=len):
        if not _is_inside(path, outermost):
            outermost.append(path)
    return outermost


def _masks(hidden: Sequence[str], bound: Iterable[str]) -> Iterator[str]:
    """Say where hidden folders would be seen through the folders that are bound."""
    for folder in bound:
        real = os.path.realpath(folder)
        for path in hidden:
            if os.path.isdir(path) and _is_inside(path, [real]):
                yield os.path.join(folder, os.path.relpath(path, real))


def _is_inside(path: str, folders: Iterable[str]) -> bool:
    """Tell whether a path is one of the folders or inside one."""
    return any(os.path.commonpath([path, folder]) == folder for folder in folders)
