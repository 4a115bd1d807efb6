"""The parameters that genesis fixes for a network, with their defaults and ranges."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_range
from fedcoin.data.messages.amounts import MAX_AMOUNT, SAP_PER_FDC
from fedcoin.v1 import genesis_pb2

_DAY_MS: Final = 86_400_000

_BLOCK_MARGIN_BYTES: Final = 8_192
"""What a block must hold beside the largest transaction: header, certificate, settlement."""

PARAMETER_RANGES: Final[dict[str, tuple[int, int]]] = {
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
    "state_fee": (1, 1_000 * SAP_PER_FDC),
    "task_deposit": (1, 1_000 * SAP_PER_FDC),
    "min_window_ms": (100, _DAY_MS),
}
"""The smallest and the largest value of each parameter, in the units that `Parameters` gives.

A block, with the certificate that travels beside it, must fit in one message of 4 MiB. The other
ranges keep sums below 63 bits and memory small.
"""


@dataclass(frozen=True, slots=True)
class Parameters:
    """A network's parameters, with the defaults for those that genesis does not set.

    `genesis.proto` describes what each one does. The comment after each field is its unit.
    """

    max_block_bytes: int = 2_097_152  # bytes
    max_transaction_bytes: int = 1_048_576  # bytes
    max_expiry_blocks: int = 1_000  # blocks
    base_fee: int = 1_000  # sap
    fee_per_kib: int = 10_000  # sap
    min_bond: int = 10_000_000_000  # sap
    max_validators: int = 100  # validators
    unbonding_ms: int = 86_400_000  # ms
    report_reward_percent: int = 5  # percent
    commit_deposit: int = 10_000_000  # sap
    max_clients: int = 128  # clients
    challenge_leaves: int = 44  # leaves
    utility_tolerance: int = 2  # right answers per 10,000 examples
    reveal_quorum_percent: int = 34  # percent
    initial_difficulty_nano: int = 20_000_000  # nano-utility
    min_difficulty_nano: int = 100_000  # nano-utility
    max_difficulty_nano: int = 100_000_000  # nano-utility
    target_settle_ms: int = 10_000  # ms
    max_block_interval_ms: int = 60_000  # ms
    propose_timeout_ms: int = 1_000  # ms
    vote_timeout_ms: int = 500  # ms
    max_clock_drift_ms: int = 5_000  # ms
    min_samples_percent: int = 25  # percent
    state_fee: int = 50_000  # sap
    task_deposit: int = 50_000_000  # sap
    min_window_ms: int = 2_000  # ms


def parse_parameters(message: genesis_pb2.Parameters) -> Parameters:
    """Fill in the defaults of a genesis' parameters and check their ranges.

    Args:
        message: The parameters as genesis gives them; 0 stands for the default.

    Returns:
        All parameters, with a value each.

    Raises:
        RefusalError: BAD_GENESIS when a parameter is outside `PARAMETER_RANGES`, or two parameters
            contradict each other; `field` names it.
    """
    given = {item.name: getattr(message, item.name) for item in fields(Parameters)}
    parameters = Parameters(**{name: value for name, value in given.items() if value})
    for name, (minimum, maximum) in PARAMETER_RANGES.items():
        value, field = getattr(parameters, name), f"parameters.{name}"
        check_range(value, minimum, maximum, field, code=DataCode.BAD_GENESIS)
    largest = parameters.max_block_bytes - _BLOCK_MARGIN_BYTES
    if parameters.max_transaction_bytes > largest:
        raise _refused(
            "max_transaction_bytes",
            f"is {parameters.max_transaction_bytes}; a block of max_block_bytes "
            f"({parameters.max_block_bytes}) must hold one and {_BLOCK_MARGIN_BYTES} bytes more",
            str(largest),
        )
    low, high = parameters.min_difficulty_nano, parameters.max_difficulty_nano
    if not low <= parameters.initial_difficulty_nano <= high:
        raise _refused(
            "initial_difficulty_nano",
            f"is {parameters.initial_difficulty_nano}; it must be min_difficulty_nano ({low}) to "
            f"max_difficulty_nano ({high})",
            f"{low} to {high}",
        )
    return parameters


def _refused(name: str, fault: str, limit: str) -> RefusalError:
    field = f"parameters.{name}"
    return RefusalError(DataCode.BAD_GENESIS, f"{field} {fault}", field=field, limit=limit)
