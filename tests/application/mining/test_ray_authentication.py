"""Real Ray clusters that ask for a token, each in processes with a home folder of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs pip install 'fedcoin[ray]'"),
]

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
print(made.address, flush=True)
sys.stdin.read()
made.shutdown()
"""

MINER = """
import sys
from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.mining.executor import make_executor
from fedcoin.data.errors import RefusalError
from fedcoin.learning.workers.process import NO_BOUNDS
try:
    config = MinerConfig(enabled=True, executor="ray", address=sys.argv[1])
    print("workers", make_executor(config, NO_BOUNDS).num_workers)
except RefusalError as refusal:
    print(refusal.code.value, refusal)
"""


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return this process's variables with another home, and without Ray's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    patience = {"RAY_raylet_start_wait_time_s": "300", "RAY_USAGE_STATS_ENABLED": "0"}
    paths = {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    return {**kept, **patience, **paths, **more}


def mine(variables: dict[str, str], address: str = "") -> str:
    command = [sys.executable, "-c", MINER, address]
    done = subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=400, check=True
    )
    return done.stdout


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("a" * 64)
    return path


@pytest.fixture
def cluster(tmp_path: Path, token: Path) -> Iterator[str]:
    variables = environment(tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(token))
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def test_a_cluster_at_an_address_gets_the_token_that_a_variable_names(
    cluster: str, token: Path, tmp_path: Path
) -> None:
    found = mine(environment(tmp_path, RAY_AUTH_TOKEN_PATH=str(token)), cluster)
    assert found.startswith("workers"), found
    refused = mine(environment(tmp_path), cluster)
    assert refused.startswith("BAD_CONFIG")
    assert "set RAY_AUTH_TOKEN_PATH" in refused


def test_an_own_cluster_leaves_no_token_file(tmp_path: Path) -> None:
    assert mine(environment(tmp_path)).startswith("workers")
    assert not (tmp_path / ".ray").exists()
