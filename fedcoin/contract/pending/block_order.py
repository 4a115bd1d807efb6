"""The order in which a proposer takes waiting transactions."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence

from fedcoin.contract.pending.sender_queue import Entry, SenderQueue
from fedcoin.data.messages.transactions import Transaction


def order_for_block(senders: Mapping[bytes, SenderQueue]) -> Iterator[Transaction]:
    """List the transactions that may go into the next block, the most urgent first.

    First come the miners' reserved steps: each miner's earliest, then each one's second, and so on.
    Before a step come its sender's transactions with lower nonces; of two steps the one with fewer
    bytes of them comes first, so that nobody's transfers keep the step of another miner out. All
    others follow, those with the highest fee for each byte first. The queues must not change while
    this is read.

    Args:
        senders: The waiting transactions by sender.

    Yields:
        Transactions; those of one sender by nonce.
    """
    queues = {sender: list(queue.candidates()) for sender, queue in senders.items()}
    taken = dict.fromkeys(queues, 0)
    for sender, end in _turns_of_steps(senders, queues):
        for entry in queues[sender][taken[sender] : end]:
            yield entry.transaction
        taken[sender] = end
    heads = [
        _by_fee(entries[taken[sender]], sender)
        for sender, entries in queues.items()
        if taken[sender] < len(entries)
    ]
    heapq.heapify(heads)
    while heads:
        sender = heads[0][2]
        entries, index = queues[sender], taken[sender]
        yield entries[index].transaction
        taken[sender] = index = index + 1
        if index < len(entries):
            heapq.heapreplace(heads, _by_fee(entries[index], sender))
        else:
            heapq.heappop(heads)


def _by_fee(entry: Entry, sender: bytes) -> tuple[int, int, bytes]:
    return -entry.fee_rate, entry.arrival, sender


def _turns_of_steps(
    senders: Mapping[bytes, SenderQueue], queues: Mapping[bytes, Sequence[Entry]]
) -> list[tuple[bytes, int]]:
    """Order the miners' reserved steps: each miner's first one, then each one's second, and so on.

    Returns:
        For each step its sender, and how many of the sender's transactions end with it.
    """
    turns: list[tuple[int, int, int, bytes, int]] = []
    for sender, entries in queues.items():
        if not any(entry.step for entry in entries):
            continue
        turn = other_bytes = 0
        for end, entry in enumerate(entries[: senders[sender].num_protected()], 1):
            if entry.step is None:
                other_bytes += entry.num_bytes
            else:
                turns.append((turn, other_bytes, entry.arrival, sender, end))
                turn += 1
    return [(sender, end) for _, _, _, sender, end in sorted(turns)]
