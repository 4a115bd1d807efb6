"""Measure what the dearest blocks that the rules allow cost a validator, for what they hold.

Full blocks of each kind go through the real ledger and a real store, without a network: decoding,
signatures, rules, the hash of the state and the writes to the database count, in processor time,
with a ledger that has not seen the transactions before. A block may cost what its bytes and
signatures cost in a full block of plain transfers of the same run, plus 100 ms. Prints a table, and
exits with 1 when a block is over. `--quick` measures small blocks, to see that the benchmark works.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict

from scripts.benchmarks.block_cost.bond_blocks import measure_bonds
from scripts.benchmarks.block_cost.campaign_blocks import measure_campaigns
from scripts.benchmarks.block_cost.cost_allowance import (
    BlockCost,
    Prices,
    format_costs,
    is_over,
)
from scripts.benchmarks.block_cost.measured_chain import QUICK, Scale, time_signature
from scripts.benchmarks.block_cost.mining_blocks import measure_mining
from scripts.benchmarks.block_cost.transfer_blocks import measure_plain, measure_transfers

_GROUPS = {
    "transfers": measure_transfers,
    "campaigns": measure_campaigns,
    "bonds": measure_bonds,
    "mining": measure_mining,
}


def measure_all(scale: Scale, groups: list[str]) -> Iterator[BlockCost]:
    """Measure the blocks of some groups.

    Args:
        scale: The sizes of blocks, tasks and the validator set.
        groups: Keys of the groups, in order.

    Yields:
        The cost of each block.
    """
    for group in groups:
        for cost in _GROUPS[group](scale):
            print(f"{cost.kind}: {cost.cpu_ms:,.0f} ms", file=sys.stderr, flush=True)
            yield cost


def main() -> int:
    """Measure, print, and compare with what the blocks may cost.

    Returns:
        The exit status: 1 when a block is over.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small blocks, tasks and sets")
    parser.add_argument("--only", choices=_GROUPS, action="append", help="one group of blocks")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    scale = QUICK if options.quick else Scale()
    plain = measure_plain(scale)
    prices = Prices.of_plain(plain, time_signature())
    blocks = [plain, *measure_all(scale, options.only or list(_GROUPS))]
    if options.json:
        rows = [{**asdict(block), "allowed_ms": prices.allow(block)} for block in blocks]
        print(json.dumps({"prices": asdict(prices), "blocks": rows}, indent=2))
    else:
        print(format_costs(blocks, prices))
    return 1 if any(is_over(block, prices) for block in blocks) else 0


if __name__ == "__main__":
    raise SystemExit(main())
