"""Flower's deployment engine as real processes on free ports: SuperLink, SuperNodes, runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedcoin.application.devnet.child_processes import child_environment
from tests.support.ports import reserve_ports
from tests.support.programs import Program, Stage
from tests.support.waiting import until

RUN_SECONDS = 900.0
_BIN = Path(sys.executable).parent


@dataclass
class Deployment:
    """A SuperLink, its SuperNodes, and a place for Flower's own settings."""

    stage: Stage
    nodes: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self._port,) = reserve_ports(1)
        home = self.stage.root / "flwr"
        home.mkdir()
        address = f"127.0.0.1:{self._port}"
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "{address}"\n'
            "insecure = true\n"
        )
        self.variables = {
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PATH": f"{_BIN}:{os.environ['PATH']}",
        }
        self.superlink = self._program(
            "superlink",
            f"{_BIN}/flower-superlink --insecure --disable-runtime-dependency-installation"
            f" --host 127.0.0.1 --port {self._port} --database {home}/state.db",
        )

    def _program(self, name: str, line: str) -> Program:
        return self.stage.typed(name, line, self.stage.root, self.variables)

    def add_node(self, name: str, config: Mapping[str, object]) -> Program:
        """Prepare a SuperNode, without starting it."""
        (port,) = reserve_ports(1)
        pairs = " ".join(f"{key}={json.dumps(value)}" for key, value in config.items())
        node = self._program(
            name,
            f"{_BIN}/flower-supernode --insecure --superlink 127.0.0.1:{self._port} --port {port}"
            f" --node-config '{pairs}'",
        )
        self.nodes.append(node)
        return node

    async def start(self) -> None:
        """Start all processes that do not run."""
        if not self.superlink.running:
            self.superlink.start()
            await self.superlink.says("Uvicorn running", RUN_SECONDS)
        for node in self.nodes:
            if not node.running:
                node.start()

    def flwr(self, *arguments: object) -> Any:
        """Run a command of Flower's command line, and return its JSON."""
        done = subprocess.run(
            [f"{_BIN}/flwr", *map(str, arguments), "--format", "json"],
            check=True,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            env={**child_environment(os.environ), **self.variables},
            cwd=self.stage.root,
        )
        return json.loads(done.stdout)

    def submit(self, app: Path, config: Mapping[str, object]) -> int:
        """Submit a run; returns its id."""
        pairs = " ".join(f"{key}={json.dumps(value)}" for key, value in config.items())
        answer = self.flwr("run", app, "here", "--run-config", pairs)
        return int(answer["run-id"])

    def status(self, run_id: int) -> str:
        """Return a run's status, such as `finished:completed`."""
        (run,) = self.flwr("list", "here", "--run-id", run_id)["runs"]
        return str(run["status"])

    def streams(self, run_id: int) -> int:
        """Show a run's log as `flwr run --stream` does; returns the exit code."""
        done = subprocess.run(
            [f"{_BIN}/flwr", "log", str(run_id), "here", "--show"],
            check=False,
            capture_output=True,
            timeout=RUN_SECONDS,
            env={**child_environment(os.environ), **self.variables},
            cwd=self.stage.root,
        )
        return done.returncode

    def said(self) -> str:
        """Return the end of the SuperLink's log, with the server app's lines."""
        return self.superlink.said()[-6000:]

    def kill_server_app(self) -> None:
        """Kill the process of the running server app, as the system does when memory is short."""
        killed = 0
        for process in Path("/proc").iterdir():
            if not process.name.isdecimal():
                continue
            with suppress(OSError):
                command = (process / "cmdline").read_bytes().split(b"\0")
                variables = (process / "environ").read_bytes()
                is_here = str(self.stage.root).encode() in variables
                if is_here and any(part.endswith(b"flwr-serverapp") for part in command):
                    os.kill(int(process.name), signal.SIGKILL)
                    killed += 1
        assert killed, "no server app runs"

    async def ended(self, run_id: int) -> str:
        """Wait until a run has ended; returns its status. `flwr run --stream` exits 0 anyway."""

        async def over() -> str:
            await asyncio.sleep(4.0)  # Each question is a process.
            status = self.status(run_id)
            return status if status.startswith("finished") else ""

        return str(await until(over, f"run {run_id} ends", seconds=RUN_SECONDS))
