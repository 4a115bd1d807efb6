"""The rules that a network fixes once, with their defaults and ranges."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT, SAP_PER_FDC
from fedcoin.v1 import genesis_pb2

_DAY_MS: Final = 86_400_000

# Bounds that hold whatever genesis says. Blocks, with the certificate that travels beside
# them, must fit into one message of 4 MiB; the others keep arithmetic and memory in hand.
RANGES: Final[dict[str, tuple[int, int]]] = {
    "max_block_bytes": (16_384, 3_145_728),
    "max_transaction_bytes": (4_096, 3_145_728),
    "max_expiry_blocks": (1, 1_000_000),
    "base_fee": (1, 1_000_000 * SAP_PER_FDC),
    "fee_per_kib": (1, 1_000 * SAP_PER_FDC),
    "min_bond": (1, MAX_AMOUNT),
    "max_validators": (1, 1_000),
    "unbonding_ms": (1, 3_650 * _DAY_MS),
    "report_reward_percent": (1, 50),
    "commit_deposit": (1, 1_000_000 * SAP_PER_FDC),
    "max_clients": (1, 1_000),
    "challenge_leaves": (1, 1_024),
    "utility_tolerance": (1, 10_000),
    "reveal_quorum_percent": (1, 100),
    "initial_difficulty_nano": (1, 10**11),
    "min_difficulty_nano": (1, 10**11),
    "max_difficulty_nano": (1, 10**11),
    "target_settle_ms": (1, _DAY_MS),
    "max_block_interval_ms": (10, _DAY_MS),
    "propose_timeout_ms": (1, 3_600_000),
    "vote_timeout_ms": (1, 3_600_000),
    "max_clock_drift_ms": (1, 3_600_000),
    "min_samples_percent": (1, 100),
}


@dataclass(frozen=True, slots=True)
class Parameters:
    """A network's rules, as `genesis.proto` explains them one by one, defaults filled in.

    Sizes are in bytes, amounts in sap, times in ms, difficulties in nano-utility.
    """

    max_block_bytes: int = 2_097_152
    max_transaction_bytes: int = 1_048_576
    max_expiry_blocks: int = 1_000
    base_fee: int = 1_000
    fee_per_kib: int = 100
    min_bond: int = 100_000_000
    max_validators: int = 100
    unbonding_ms: int = 86_400_000
    report_reward_percent: int = 5
    commit_deposit: int = 10_000_000
    max_clients: int = 128
    challenge_leaves: int = 44
    utility_tolerance: int = 2
    reveal_quorum_percent: int = 34
    initial_difficulty_nano: int = 20_000_000
    min_difficulty_nano: int = 100_000
    max_difficulty_nano: int = 100_000_000
    target_settle_ms: int = 10_000
    max_block_interval_ms: int = 60_000
    propose_timeout_ms: int = 1_000
    vote_timeout_ms: int = 500
    max_clock_drift_ms: int = 5_000
    min_samples_percent: int = 25


def parse_parameters(message: genesis_pb2.Parameters) -> Parameters:
    """Fill in the defaults and check every range.

    Raises `Refusal` (BAD_GENESIS) that names the parameter.
    """
    given = {rule.name: getattr(message, rule.name) for rule in fields(Parameters)}
    rules = Parameters(**{name: value for name, value in given.items() if value})
    for name, (least, most) in RANGES.items():
        value = getattr(rules, name)
        if not least <= value <= most:
            raise _refused(name, f"is {value}; it must be {least} to {most}", f"{least} to {most}")
    if rules.max_transaction_bytes + 8_192 > rules.max_block_bytes:
        raise _refused(
            "max_transaction_bytes",
            f"is {rules.max_transaction_bytes}; a block of max_block_bytes "
            f"({rules.max_block_bytes}) must hold one and 8192 bytes more",
            str(rules.max_block_bytes - 8_192),
        )
    low, high = rules.min_difficulty_nano, rules.max_difficulty_nano
    if not low <= rules.initial_difficulty_nano <= high:
        raise _refused(
            "initial_difficulty_nano",
            f"is {rules.initial_difficulty_nano}; it must be min_difficulty_nano ({low}) to "
            f"max_difficulty_nano ({high})",
            f"{low} to {high}",
        )
    return rules


def _refused(name: str, what: str, limit: str) -> RefusalError:
    field = f"parameters.{name}"
    return RefusalError(DataCode.BAD_GENESIS, f"{field} {what}", field=field, limit=limit)
