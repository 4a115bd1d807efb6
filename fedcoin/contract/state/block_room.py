"""What a block has room for beside its bytes: new entries, steps of miners, and reports.

A new entry is small on the wire and dear to execute: a transfer of 8 KB may open 256 accounts. So
the entries for which senders pay a fee count against a limit of their own. A builder leaves what
does not fit for later blocks, and a block with more is invalid. Actions that write more than they
pay for count as if they added entries.

Miners' steps take no room for entries: the task that they belong to has paid for them, and its
block had room for them, so that nobody can keep a step out by filling this room. They have a room
of their own, since small ones are dearer to execute than their bytes. So have reports of
conflicting votes: nobody can keep one out without losing bonds, and a builder leaves the others out
before it executes them, however many senders report one validator.
"""

from __future__ import annotations

from typing import Final

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.parameters import Parameters

BYTES_PER_ENTRY: Final = 512
"""A block has room for one new entry for each so many bytes that it may have. By
`bench_block_cost`, an entry takes 0.012 ms more than its bytes, so that 4,096 take 50 ms."""

BOND_ENTRIES: Final = 16
"""What a newcomer's bond counts: its own record, and what changes of the bond that makes way."""

FORMER_LIST_ENTRIES: Final = 2
"""What a replaced list of clients counts: the campaign's record holds up to 64 of them."""

ENTRIES_PER_DISPLACED_MINER: Final = 2
"""What each miner of a task that makes way counts: its record, its balance and a receipt. Each
client of such a task counts 1, for the shortened terms."""

ENTRIES_PER_POWER: Final = 8
"""What it counts to set a miner's power in a task to 0: the record of all miners' powers."""

MAX_STEPS: Final = 2_048
"""What the steps of miners in a block count at most. A commitment or an opening counts 1: by
`bench_block_cost` it may take 0.03 ms more than its bytes and signature."""

STEPS_PER_ANSWER: Final = 8
"""What an answer to a challenge counts: one for 128 clients takes 0.4 ms more than its bytes."""

MAX_REPORTS: Final = 8
"""The largest number of reports of conflicting votes in a block. Each one sets the power of a miner
in up to 64 tasks to 0, which takes up to 6 ms."""

_MIN_ENTRIES: Final = 512
_TASK_ENTRIES: Final = 2


def compute_max_entries(rules: Parameters) -> int:
    """Compute how many entries the transactions of a block may add to the state.

    Args:
        rules: The network's parameters.

    Returns:
        One for each `BYTES_PER_ENTRY` of the largest block, and at least 512, which is what two
        transfers may add, and what a task may add that displaces another one.
    """
    opened = _TASK_ENTRIES + rules.max_clients + rules.max_validators
    displaced = rules.max_clients + ENTRIES_PER_DISPLACED_MINER * rules.max_validators
    by_bytes = rules.max_block_bytes // BYTES_PER_ENTRY
    return max(by_bytes, _MIN_ENTRIES, opened + displaced)


def compute_max_step_bytes(rules: Parameters) -> int:
    """Compute how large the transaction of a miner's step may be.

    Args:
        rules: The network's parameters.

    Returns:
        Bytes: those of the largest transaction, but at most half of the largest block. So steps
        that keep another one out of a block fill about half of it or more.
    """
    return min(rules.max_transaction_bytes, rules.max_block_bytes // 2)


class BlockRoom:
    """The room that is left in a block which is being executed."""

    def __init__(self, entries: int, steps: int = MAX_STEPS, reports: int = MAX_REPORTS) -> None:
        """Begin with some room.

        Args:
            entries: The number of entries of the state for which there is room.
            steps: What the steps of miners may count together.
            reports: The number of reports of conflicting votes for which there is room.
        """
        self.entries = entries
        """The number of entries for which there is room."""
        self.steps = steps
        """What further steps of miners may count."""
        self.reports = reports
        """The number of reports for which there is room."""
        self.lacked_entries = False
        """Whether there was too little room for entries."""
        self.step_bytes: int | None = None
        """At the end of a block with steps of miners: how many bytes were left for others. None
        when they left room for any step."""

    @property
    def has_steps(self) -> bool:
        """Whether the steps of miners have used up some of their room."""
        return self.steps < MAX_STEPS

    def copy(self) -> BlockRoom:
        """Copy this room, for changes that may be dropped."""
        return BlockRoom(self.entries, self.steps, self.reports)

    def take_over(self, other: BlockRoom) -> None:
        """Take over what is left in a copy, whose changes are kept.

        Args:
            other: The copy.
        """
        self.entries, self.steps = other.entries, other.steps
        self.reports = other.reports

    def check_entries(self, entries: int) -> None:
        """Check that there is room.

        Args:
            entries: The number of entries.

        Raises:
            RefusalError: BLOCK_FULL when there is room for fewer.
        """
        if entries > self.entries:
            self.lacked_entries = True
            raise RefusalError(
                LedgerCode.BLOCK_FULL,
                f"the transaction adds {entries} entries to the state or more; this block has room"
                f" for {self.entries} further ones: a later block has more",
                field="action",
                limit=str(self.entries),
            )

    def take_entries(self, entries: int) -> None:
        """Use up room.

        Args:
            entries: The number of entries.

        Raises:
            RefusalError: BLOCK_FULL when there is room for fewer.
        """
        self.check_entries(entries)
        self.entries -= entries

    def take_steps(self, count: int) -> None:
        """Use up room for the steps of miners.

        Args:
            count: 1 for a commitment or an opening, `STEPS_PER_ANSWER` for an answer.

        Raises:
            RefusalError: BLOCK_FULL when there is too little.
        """
        if count > self.steps:
            raise RefusalError(
                LedgerCode.BLOCK_FULL,
                f"the steps of miners in a block count at most {MAX_STEPS}, and this one counts"
                f" {count} where {self.steps} are left: a later block has room for it",
                field="action",
                limit=str(MAX_STEPS),
            )
        self.steps -= count

    def take_report(self) -> None:
        """Use up the room for one report of conflicting votes.

        Raises:
            RefusalError: BLOCK_FULL when there is none.
        """
        if not self.reports:
            raise RefusalError(
                LedgerCode.BLOCK_FULL,
                f"a block holds at most {MAX_REPORTS} reports of conflicting votes: a later block"
                " has room for this one",
                field="action",
                limit=str(MAX_REPORTS),
            )
        self.reports -= 1

    def close_entries(self) -> None:
        """Leave no room for entries.

        A builder calls it at the first transaction that does not fit, so that each of the others is
        refused at its first new entry, and ten thousand that wait cost it no second.
        """
        self.entries = 0
