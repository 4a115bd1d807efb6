"""What a block may cost for its bytes and signatures, by the price of plain transfers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXTRA_MS = 100.0
"""What any block may cost beside its bytes and signatures, in ms of processor time."""


@dataclass(frozen=True)
class BlockCost:
    """What one block holds, and what it cost."""

    kind: str
    """What the block is full of, or what it does."""
    transactions: int
    """The number of its transactions."""
    size: int
    """Its serialised size, in bytes."""
    signatures: int
    """The number of signatures in it: of transactions, updates, receipts and votes."""
    cpu_ms: float
    """Processor time of decoding, checking, executing and storing it, in ms."""


@dataclass(frozen=True)
class Prices:
    """What plain transfers cost in the same run."""

    ms_per_signature: float
    """Processor time of verifying one signature, in ms."""
    ms_per_byte: float
    """Processor time of a block of plain transfers without its signatures, for each byte, in ms."""

    @classmethod
    def of_plain(cls, plain: BlockCost, ms_per_signature: float) -> Prices:
        """Divide the cost of a block of plain transfers over its signatures and bytes.

        Args:
            plain: A full block of transfers between accounts that exist.
            ms_per_signature: Processor time of verifying one signature, in ms.

        Returns:
            Both prices; a byte costs nothing where the signatures cost more than was measured.
        """
        rest = plain.cpu_ms - plain.signatures * ms_per_signature
        return cls(ms_per_signature, max(0.0, rest) / plain.size)

    def allow(self, block: BlockCost) -> float:
        """Compute what a block may cost.

        Args:
            block: A measured block.

        Returns:
            The price of its bytes and signatures, and `EXTRA_MS`, in ms.
        """
        paid = block.size * self.ms_per_byte + block.signatures * self.ms_per_signature
        return paid + EXTRA_MS


def is_over(block: BlockCost, prices: Prices) -> bool:
    """Tell whether a block costs more than it may.

    Args:
        block: A measured block.
        prices: The prices of the same run.

    Returns:
        True when it is above the allowance.
    """
    return block.cpu_ms > prices.allow(block)


def format_costs(blocks: Sequence[BlockCost], prices: Prices) -> str:
    """Write the measured blocks as a table in Markdown.

    Args:
        blocks: The measured blocks.
        prices: The prices of the same run.

    Returns:
        The table, with a line about the prices below it.
    """
    lines = [
        "| block | transactions | bytes | signatures | ms | may cost, ms | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for block in blocks:
        verdict = "OVER" if is_over(block, prices) else "within"
        numbers = f"{block.transactions:,} | {block.size:,} | {block.signatures:,}"
        times = f"{block.cpu_ms:,.0f} | {prices.allow(block):,.0f}"
        lines.append(f"| {block.kind} | {numbers} | {times} | {verdict} |")
    lines.append("")
    lines.append(
        f"A signature costs {prices.ms_per_signature:.4f} ms, a KiB of plain transfers"
        f" {prices.ms_per_byte * 1024:.3f} ms beside its signatures."
    )
    return "\n".join(lines)
