"""What a block may cost, and that the benchmark of full blocks runs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from scripts.benchmarks.block_cost.cost_allowance import (
    BlockCost,
    Prices,
    format_costs,
    is_over,
)
from tests.support.paths import ROOT

PLAIN = BlockCost("plain", 10, 1_000, 10, 30.0)


def test_the_allowance_is_the_price_of_plain_transfers_and_100_ms() -> None:
    prices = Prices.of_plain(PLAIN, 1.0)
    assert prices == Prices(ms_per_signature=1.0, ms_per_byte=0.02)
    assert prices.allow(BlockCost("full", 1, 500, 4, 0.0)) == 100 + 10 + 4
    assert not is_over(BlockCost("full", 1, 500, 4, 114.0), prices)
    assert is_over(BlockCost("full", 1, 500, 4, 114.1), prices)
    assert Prices.of_plain(PLAIN, 4.0).ms_per_byte == 0


def test_the_table_says_which_blocks_are_over() -> None:
    blocks = [PLAIN, BlockCost("dear", 1, 1_000, 10, 130.1)]
    rows = format_costs(blocks, Prices.of_plain(PLAIN, 1.0)).splitlines()
    assert rows[2] == "| plain | 10 | 1,000 | 10 | 30 | 130 | within |"
    assert rows[3].endswith("| 130 | 130 | OVER |")


@pytest.mark.slow
def test_each_kind_of_block_is_measured() -> None:
    """Small blocks, of which the times say nothing."""
    command = [sys.executable, "-m", "scripts.benchmarks.bench_block_cost", "--quick", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode in {0, 1}, done.stderr
    blocks = json.loads(done.stdout)["blocks"]
    assert len({block["kind"] for block in blocks}) == len(blocks) >= 25
    assert all(block["cpu_ms"] > 0 for block in blocks)
    counts = {block["kind"]: block["transactions"] for block in blocks}
    assert counts["plain transfers"] > 700
    # 512 new entries: two transfers to 256 accounts, bonds by 16 and miners that decline by 8 each.
    assert counts["transfers to 256 new accounts each"] == 2
    assert counts["lists of clients are replaced"] == 256
    assert counts["bonds that displace each other"] == 32
    assert counts["64 tasks of 1 clients: miners decline"] == 64
    assert counts["64 tasks of 1 clients: reports of conflicting votes"] == 7
    assert counts["tasks that displace others"] < 64
    # What miners owe to tasks takes no room for entries.
    assert counts["64 tasks of 1 clients: commitments"] == 7 * 64
