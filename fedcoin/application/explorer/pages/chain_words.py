"""Name the states and reasons of a chain in words for people."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import EnumDescriptor

from fedcoin.v1 import block_pb2, task_pb2, views_pb2

_PHASES: Final[dict[int, str]] = {
    block_pb2.TASK_PHASE_COMMIT: "miners compute",
    block_pb2.TASK_PHASE_CHALLENGE: "miners open commitments",
    block_pb2.TASK_PHASE_REVEAL: "miners prove",
    block_pb2.TASK_PHASE_SETTLE: "to be settled",
    block_pb2.TASK_PHASE_SETTLED: "settled",
    block_pb2.TASK_PHASE_FAILED: "failed",
    block_pb2.TASK_PHASE_GAVE_WAY: "made way",
}


def name_enum(kind: EnumDescriptor, number: int) -> str:
    """Name a value of an enum without the enum's prefix.

    Args:
        kind: The enum's descriptor.
        number: The value's number on the wire.

    Returns:
        Such as "deposit returned" for PAYMENT_KIND_DEPOSIT_RETURNED; the number as text when this
        version does not know the value.
    """
    value = kind.values_by_number.get(number)
    if value is None:
        return str(number)
    prefix = kind.values_by_number[0].name.removesuffix("UNSPECIFIED")
    name: str = value.name
    return name.removeprefix(prefix).replace("_", " ").lower()


def name_payment(kind: int) -> str:
    """Name the reason of a payment.

    Args:
        kind: A value of `PaymentKind`.

    Returns:
        Words such as "deposit returned".
    """
    return name_enum(block_pb2.PaymentKind.DESCRIPTOR, kind)


def name_phase(phase: int) -> str:
    """Name the phase of a task by what happens in it.

    Args:
        phase: A value of `TaskPhase`.

    Returns:
        Words such as "miners prove".
    """
    return _PHASES.get(phase) or name_enum(block_pb2.TaskPhase.DESCRIPTOR, phase)


def name_schedule(schedule: int) -> str:
    """Name a schedule of coalitions.

    Args:
        schedule: A value of `Schedule`.

    Returns:
        Words such as "exact".
    """
    return name_enum(task_pb2.Schedule.DESCRIPTOR, schedule)


def name_status(status: int) -> str:
    """Name the state of a transaction.

    Args:
        status: A value of `TransactionStatus`.

    Returns:
        Words such as "final".
    """
    return name_enum(views_pb2.TransactionStatus.DESCRIPTOR, status)


def name_action(action: str) -> str:
    """Name an action.

    Args:
        action: The name of the field of `TransactionBody`.

    Returns:
        Words such as "open campaign".
    """
    return action.replace("_", " ")
