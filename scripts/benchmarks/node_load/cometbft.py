"""Run CometBFT's example application under the same load, to compare with.

The application `kvstore` keeps keys and values and checks no signatures. CometBFT and its load
program come from their Go module, and are built once. The nodes listen on addresses of the loopback
network of their own, since CometBFT's test networks expect a host for each node.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from scripts.benchmarks.node_load.measurement import ROOT, Plan, cpu_seconds

VERSION: Final = "v1.0.1"
"""The version of CometBFT."""

TRANSACTION_BYTES: Final = 250
"""The size of a transaction: that of a signed transfer, and a multiple that the load can make."""

OFFERED: Final = 4_000
"""The number of transactions a second that are sent to all nodes together."""

_MODULE: Final = "github.com/cometbft/cometbft"
_FOLDER: Final = ROOT / "build" / "cometbft"
_PORT, _PEER_PORT = 26657, 26656
_START_S = 60.0
_PAGE = 20


def measure_cometbft(plan: Plan) -> dict[str, float]:
    """Run CometBFT under load.

    Args:
        plan: How many validators, and how long.

    Returns:
        Numbers by name; a name says its unit.

    Raises:
        RuntimeError: When there is no Go, or the nodes do not start.
    """
    cometbft, load = _build()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        nodes = stack.enter_context(_running(cometbft, Path(folder), plan.validators))
        _wait_for_blocks()
        before = sum(cpu_seconds(node.pid) for node in nodes)
        _send(load, plan)
        used = sum(cpu_seconds(node.pid) for node in nodes) - before
        committed, seconds, blocks = _count_committed()
    return {
        "final_per_second": committed / seconds if seconds else float("nan"),
        "cpu_ms_per_transaction": 1000 * used / plan.validators / max(1, committed),
        "seconds_per_block": seconds / max(1, blocks - 1),
    }


def _build() -> tuple[Path, Path]:
    programs = _FOLDER / "cometbft", _FOLDER / "load"
    if all(program.exists() for program in programs):
        return programs
    go = shutil.which("go")
    if go is None:
        raise RuntimeError("CometBFT is built with Go, and there is no `go` on the PATH")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    commands = ("cmd/cometbft", "test/loadtime/cmd/load")
    packages = [f"{_MODULE}/{command}@{VERSION}" for command in commands]
    subprocess.run(
        [go, "install", *packages], check=True, env={**os.environ, "GOBIN": str(_FOLDER)}
    )
    return programs


@contextmanager
def _running(
    cometbft: Path, folder: Path, validators: int
) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    command = f"{cometbft} testnet --v {validators} --o {folder / 'net'}"
    command += f" --starting-ip-address 127.0.0.1 --p2p-port {_PEER_PORT}"
    subprocess.run(command.split(), check=True, stdout=subprocess.DEVNULL)
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(validators):
            home = folder / "net" / f"node{number}"
            _configure(home / "config" / "config.toml", f"127.0.0.{number + 1}")
            with (folder / f"node{number}.log").open("wb") as log:
                start = [str(cometbft), "start", "--home", str(home), "--log_level", "error"]
                nodes.append(subprocess.Popen(start, stdout=log, stderr=log))
        yield nodes
    finally:
        for node in nodes:
            node.terminate()
        for node in nodes:
            node.wait()


def _configure(path: Path, host: str) -> None:
    text = path.read_text()
    for pattern, value in (
        (rf'laddr = "tcp://0.0.0.0:{_PEER_PORT}"', f'laddr = "tcp://{host}:{_PEER_PORT}"'),
        (rf'laddr = "tcp://[0-9.]+:{_PORT}"', f'laddr = "tcp://{host}:{_PORT}"'),
        (r"pprof_laddr = .*", 'pprof_laddr = ""'),
        (r"allow_duplicate_ip = .*", "allow_duplicate_ip = true"),
        (r"proxy_app = .*", 'proxy_app = "kvstore"'),
        (r"size = 5000", "size = 50000"),
    ):
        text = re.sub(rf"(?m)^{pattern}$", value, text)
    path.write_text(text)


def _send(load: Path, plan: Plan) -> None:
    hosts = [f"127.0.0.{number + 1}" for number in range(plan.validators)]
    endpoints = ",".join(f"ws://{host}:{_PORT}/websocket" for host in hosts)
    command = f"{load} -c 1 -T {round(plan.seconds)} -r {OFFERED // plan.validators}"
    command += f" -s {TRANSACTION_BYTES} --broadcast-tx-method sync --endpoints {endpoints}"
    quiet = subprocess.DEVNULL
    subprocess.run(command.split(), check=False, stdout=quiet, stderr=quiet)


def _wait_for_blocks() -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        try:
            if int(_ask("status")["sync_info"]["latest_block_height"]) >= 2:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise RuntimeError("CometBFT's nodes made no block")


def _count_committed() -> tuple[int, float, int]:
    """Count transactions, seconds between the first and last block with any, and such blocks."""
    height = int(_ask("status")["sync_info"]["latest_block_height"])
    busy: list[tuple[int, float, int]] = []
    for low in range(1, height + 1, _PAGE):
        high = min(height, low + _PAGE - 1)
        for meta in _ask(f"blockchain?minHeight={low}&maxHeight={high}")["block_metas"]:
            header, count = meta["header"], int(meta["num_txs"])
            if count:
                busy.append((int(header["height"]), _seconds(header["time"]), count))
    busy.sort()
    if not busy:
        return 0, 0.0, 0
    return sum(count for _, _, count in busy), busy[-1][1] - busy[0][1], len(busy)


def _seconds(time_text: str) -> float:
    return datetime.fromisoformat(time_text[:26].rstrip("Z") + "+00:00").timestamp()


def _ask(path: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{_PORT}/{path}", timeout=10) as reply:
        return json.load(reply)["result"]
