"""The power that miners have in a task: their bonds at the moment when the task was opened.

Coins that are bonded later give no power in an open task: its challenge, and with it the winner,
may be known by then. A miner that takes its coins out of the bond keeps its power in the tasks that
are open, because it may have committed to them already (docs/adr/0026).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import Overlay, StateReader
from fedcoin.contract.state.validators import read_validators
from fedcoin.v1 import block_pb2
from fedcoin.v1.state_pb2 import FrozenPower, FrozenPowerState, MinerState, TaskState


def freeze_power(state: Overlay, task_id: bytes) -> int:
    """Record the present bond of each miner as its power in a task.

    Args:
        state: The state to write to.
        task_id: The task's id, 32 bytes.

    Returns:
        The power of all miners together, in sap.
    """
    validators = read_validators(state)
    frozen = FrozenPowerState(
        miners=[FrozenPower(address=member.address, power=member.power) for member in validators]
    )
    records.POWERS.put(state, task_id, record=frozen)
    return validators.total_power


def read_power(state: StateReader, task_id: bytes) -> Mapping[bytes, int]:
    """Read the power of each miner in an open task.

    Args:
        state: The state to read from.
        task_id: The task's id, 32 bytes.

    Returns:
        The power in sap by address (20 bytes), 0 for miners whose bond was slashed since and for
        those that declined; nothing for a closed or unknown task.
    """
    return _read_powers(records.POWERS.get_bytes(state, task_id))


def count_power(state: StateReader, task_id: bytes) -> int:
    """Count the miners that have power in an open task.

    Args:
        state: The state to read from.
        task_id: The task's id, 32 bytes.

    Returns:
        The number of miners whose power is not 0.
    """
    return sum(1 for power in read_power(state, task_id).values() if power)


def remove_power(state: Overlay, address: bytes) -> None:
    """Set a miner's power to 0 in all open tasks, because its bond was slashed.

    The totals stay, so that no share of the others changes.

    Args:
        state: The state to write to.
        address: The miner's address, 20 bytes.
    """
    for _, task_id in list(records.OPEN_TASKS.scan(state)):
        powers = read_power(state, task_id)
        if not powers.get(address, 0):
            continue
        committed = records.MINERS.get(state, task_id, address)
        frozen = _read_frozen(state, task_id)
        frozen.miners[list(powers).index(address)].power = 0
        records.POWERS.put(state, task_id, record=frozen)
        task = records.TASKS.get(state, task_id)
        assert task is not None, "an open task without a record"
        if committed is None:
            task.waiting -= task.phase == block_pb2.TASK_PHASE_COMMIT
        else:
            if has_acted(task, committed):
                task.acted_power -= committed.power
            committed.power = 0
            records.MINERS.put(state, task_id, address, record=committed)
        records.TASKS.put(state, task_id, record=task)


def has_acted(task: TaskState, miner: MinerState) -> bool:
    """Tell whether a miner that committed did what the present window is for.

    Args:
        task: The open task.
        miner: The miner's record in the task.

    Returns:
        True for each miner that committed in phase COMMIT, for those that opened in CHALLENGE, and
        for those that answered in REVEAL. In phase SETTLE there is no window.
    """
    if task.phase == block_pb2.TASK_PHASE_CHALLENGE:
        return bool(miner.salt)
    if task.phase == block_pb2.TASK_PHASE_REVEAL:
        return miner.revealed
    return task.phase == block_pb2.TASK_PHASE_COMMIT


def note_act(state: Overlay, task_id: bytes, task: TaskState, power: int) -> None:
    """Note that a miner did what the present window is for.

    Args:
        state: The state to write to.
        task_id: The task's id, 32 bytes.
        task: The open task, which is changed and stored.
        power: The miner's power in the task, in sap; 0 if it was slashed after it committed.
    """
    task.waiting -= 1
    task.acted_power += power
    records.TASKS.put(state, task_id, record=task)


def decline_power(state: Overlay, task_id: bytes, task: TaskState, address: bytes) -> None:
    """Set a miner's power in one task to 0, because it says that it cannot take part.

    As after a slashing, the totals stay: the others need as much power as before for a quorum.

    Args:
        state: The state to write to.
        task_id: The task's id, 32 bytes.
        task: The open task, which is changed and stored.
        address: The miner's address, 20 bytes; it has not committed in the present attempt.
    """
    note_act(state, task_id, task, 0)
    frozen = _read_frozen(state, task_id)
    for miner in frozen.miners:
        if miner.address == address:
            miner.power, miner.declined = 0, True
    records.POWERS.put(state, task_id, record=frozen)


def read_declined(state: StateReader, task_id: bytes) -> tuple[bytes, ...]:
    """Read which miners said that they cannot take part in an open task.

    Args:
        state: The state to read from.
        task_id: The task's id, 32 bytes.

    Returns:
        Their addresses, 20 bytes each; none for a closed or unknown task.
    """
    frozen = records.POWERS.get(state, task_id) or FrozenPowerState()
    return tuple(miner.address for miner in frozen.miners if miner.declined)


def note_proved_samples(state: Overlay, task_id: bytes, miners: Mapping[bytes, MinerState]) -> None:
    """Note what miners proved in an attempt that had no outcome.

    Args:
        state: The state to write to.
        task_id: The task's id, 32 bytes.
        miners: The records of the attempt's miners, by address (20 bytes).
    """
    frozen = _read_frozen(state, task_id)
    for entry in frozen.miners:
        miner = miners.get(entry.address)
        if miner is not None and miner.revealed:
            entry.proved_samples = max(entry.proved_samples, miner.samples)
    records.POWERS.put(state, task_id, record=frozen)


def read_proved_samples(state: StateReader, task_id: bytes) -> dict[bytes, tuple[int, int]]:
    """Read what miners proved in a task's attempts so far.

    Args:
        state: The state to read from.
        task_id: The task's id, 32 bytes.

    Returns:
        Power in sap and the largest number of proved samples, both at least 1, by address (20
        bytes).
    """
    frozen = records.POWERS.get(state, task_id) or FrozenPowerState()
    return {
        miner.address: (miner.power, miner.proved_samples)
        for miner in frozen.miners
        if miner.power and miner.proved_samples
    }


def forget_power(state: Overlay, task_id: bytes) -> None:
    """Delete the record of a task that is closed.

    Args:
        state: The state to write to.
        task_id: The task's id, 32 bytes.
    """
    records.POWERS.delete(state, task_id)


def _read_frozen(state: StateReader, task_id: bytes) -> FrozenPowerState:
    frozen = records.POWERS.get(state, task_id)
    assert frozen is not None, "an open task without frozen power"
    return frozen


# Each step of each miner reads the record of all miners, which seldom changes.
@lru_cache(maxsize=128)
def _read_powers(raw: bytes) -> Mapping[bytes, int]:
    frozen = FrozenPowerState.FromString(raw)
    return MappingProxyType({miner.address: miner.power for miner in frozen.miners})
