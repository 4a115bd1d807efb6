"""The processes of a test network's nodes: start, kill, pause and stop each of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress

from fedcoin.application.devnet.child_processes import COMMAND_LINE, ChildProcesses
from fedcoin.application.devnet.dishonest_miners import load_dishonest_miners
from fedcoin.testing.networks.network_homes import NodeHome

NODE_FAILED, START_FAILED = 3, 1
"""The exit codes of a node that ends because it can no longer do its work, or cannot begin it."""

END_SECONDS = 30.0
"""How long a node may take to end after SIGTERM, in seconds."""

CLOCK_MODULE = "fedcoin.testing.networks.shifted_clock"


class RunningNodes:
    """The processes of all nodes, by name, and how each of them ended.

    Attributes:
        problems: One sentence for each process that ended otherwise than it should.
    """

    def __init__(self, processes: ChildProcesses, homes: Mapping[str, NodeHome]) -> None:
        """Start nothing yet.

        Args:
            processes: Starts the processes, and ends them in any case.
            homes: The home of each node, by name.
        """
        self.problems: list[str] = []
        self._processes = processes
        self._homes = dict(homes)
        self._running: set[str] = set()

    def pids(self) -> Mapping[str, int]:
        """Return the process id of each node that was started and not ended on purpose."""
        return {name: self._processes.pid(name) for name in self._running}

    def start(self, name: str) -> None:
        """Start a node's process.

        Args:
            name: The node's name.
        """
        home = self._homes[name]
        options = ("--home", str(home.home.root), "--stop-with-stdin")
        arguments: tuple[str, ...]
        if home.node.dishonest:
            module, arguments = load_dishonest_miners().module, (home.node.dishonest, *options)
        elif home.has_shifted_clock:
            module, arguments = CLOCK_MODULE, (str(home.clock_path), "start", *options)
        else:
            module, arguments = COMMAND_LINE, ("start", *options)
        self._processes.start(name, arguments, lasting=False, module=module)
        self._running.add(name)

    async def kill(self, name: str) -> None:
        """End a node at once, without any cleanup (SIGKILL).

        Args:
            name: The node's name.
        """
        self._signal(name, signal.SIGKILL)
        await self._reap(name, (-signal.SIGKILL,))

    async def stop(self, name: str) -> None:
        """Ask a node to end (SIGTERM); it must do so in time and without a failure.

        Args:
            name: The node's name.
        """
        self._signal(name, signal.SIGTERM)
        await self._reap(name, (0,))

    def pause(self, name: str) -> None:
        """Suspend a node's main process (SIGSTOP).

        Args:
            name: The node's name.
        """
        self._signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let a paused node go on (SIGCONT).

        Args:
            name: The node's name.
        """
        self._signal(name, signal.SIGCONT)

    async def note_failure(self, name: str) -> bool:
        """Take a node that ended because it had to, with its own exit code.

        Args:
            name: The node's name.

        Returns:
            True when it has ended so; False when it runs, or ended otherwise.
        """
        if self._processes.exit_code(name) not in (NODE_FAILED, START_FAILED):
            return False
        await self._reap(name, (NODE_FAILED, START_FAILED))
        return True

    def is_running(self, name: str) -> bool:
        """Tell whether a node's latest process runs.

        Args:
            name: The node's name.

        Returns:
            False when it has ended, in whatever way.
        """
        return self._processes.exit_code(name) is None

    def note_ends(self) -> None:
        """Add a problem for each node that ended by itself."""
        for name in sorted(self._running):
            code = self._processes.exit_code(name)
            if code is not None:
                self._running.discard(name)
                if self._homes[name].node.is_honest:
                    self.problems.append(f"{name} ended by itself with exit code {code}")

    @property
    def running(self) -> frozenset[str]:
        """The names of the nodes that should run."""
        return frozenset(self._running)

    def _signal(self, name: str, number: signal.Signals) -> None:
        # A process that ended by itself is noted when it is reaped.
        with suppress(ProcessLookupError):
            os.kill(self._processes.pid(name), number)

    async def _reap(self, name: str, allowed: tuple[int, ...]) -> None:
        code = await self._processes.wait_for_code(name, END_SECONDS)
        self._running.discard(name)
        if code is None:
            self.problems.append(f"{name} did not end within {END_SECONDS:g} s of SIGTERM")
            self._signal(name, signal.SIGKILL)
            await self._processes.wait_for_code(name, END_SECONDS)
        elif code not in allowed and self._homes[name].node.is_honest:
            expected = " or ".join(str(one) for one in allowed)
            self.problems.append(f"{name} ended with exit code {code} instead of {expected}")
