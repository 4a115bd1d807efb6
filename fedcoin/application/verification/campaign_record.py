"""A campaign as one file: JSON for an auditor, who trusts nothing but the network's genesis.

The file holds every block in which something of the campaign happened: its header and certificate,
the campaign's transactions (terms, tasks with the updates' hashes, commitments, evidence) and its
receipts (payments, phases). Of what else is in those blocks there is only a hash each, so that the
roots in the header can be computed. The fields that people read must equal what the bytes say.

A file cannot prove that no block was left out, but its sums show whether a payment was: a campaign
that is over has paid or returned its whole budget, so what is missing of the budget was left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fedcoin.application.verification.campaign_reader import CampaignReader, Leaf
from fedcoin.application.verification.proof_parts import (
    change_view,
    check_network,
    compare,
    differs,
    follow_changes,
    within,
)
from fedcoin.application.verification.strict_json import (
    malformed,
    parse_object,
    read_bytes,
    read_member,
)
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.contract.blocks.validator_history import TrustPath, ValidatorHistory
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.crypto.merkle import root_from_hashes
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import decode_header
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.block_pb2 import Block

FORMAT: Final = "fedcoin/campaign/v1"
"""The value of `format` in a campaign's file."""

MAX_BYTES: Final = 256 << 20
"""The size of the largest file that is written or read, in bytes."""

CHECK: Final = "fedcoin-node verify --campaign FILE --genesis genesis.json"
"""The command that checks a file, which each file holds."""

RECOMPUTE: Final = "fedcoin-node verify --home HOME --recompute"
"""The command that evaluates the coalitions again, in a home that keeps the chain and artifacts."""


@dataclass(frozen=True, slots=True)
class ProvedCampaign:
    """What a campaign's file proves."""

    campaign_id: bytes
    """The campaign's id, 32 bytes."""
    summary: dict[str, Any]
    """What `CampaignReader.summary` returns; amounts in sap, values in nano-utility."""
    num_blocks: int
    """The blocks in the file."""
    num_validator_changes: int
    """The changes of the validator set between genesis and the last of them."""


def build_record(
    store: ChainStore,
    genesis: Genesis,
    campaign_id: bytes,
    on_block: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Write what a chain holds of a campaign. The chain is not checked.

    Args:
        store: The chain, whose node may be running.
        genesis: The network's genesis.
        campaign_id: The campaign's id, 32 bytes.
        on_block: Called after each block from the campaign's opening on.

    Returns:
        The content of a campaign's file.

    Raises:
        RefusalError: CAMPAIGN_NOT_FOUND when no final block opened the campaign; HISTORY_NOT_KEPT
            when the block that did may lie below the snapshot that the chain started from.
    """
    reader = CampaignReader(campaign_id, genesis)
    blocks = []
    last = store.height()
    for height in range(first_height(store, campaign_id), last + 1):
        stored = store.block(height)
        assert stored is not None, "a block between the base and the tip"
        block = Block.FromString(stored.raw)
        view = reader.read(
            block.header,
            decode_header(block.header),
            stored.certificate,
            [Leaf.of(raw) for raw in block.transactions],
            [Leaf.of(raw) for raw in store.receipts(height)],
        )
        if not reader.has_terms:
            raise _not_found(campaign_id)
        if view is not None:
            blocks.append(view)
        on_block()
    changes = []
    for change in ValidatorHistory(store, genesis).changes(blocks[-1]["height"]):
        header = store.header_bytes(change.height) or b""
        certificate = store.certificate(change.height) or b""
        validators = ValidatorSet.from_members(change.validators)
        changes.append(change_view(header, certificate, validators))
    return _document(genesis, campaign_id, reader.summary(), changes, blocks)


def first_height(store: ChainStore, campaign_id: bytes) -> int:
    """Find the block that opened a campaign.

    Args:
        store: The chain.
        campaign_id: The campaign's id, 32 bytes.

    Returns:
        The block's height.

    Raises:
        RefusalError: As of `build_record`.
    """
    location = store.index.find_transaction(campaign_id)
    if location is not None:
        return location.height
    if store.base_height():
        raise RefusalError(
            NetworkCode.HISTORY_NOT_KEPT,
            f"this chain has no block that opened campaign {campaign_id.hex()}, and its blocks up"
            f" to {store.base_height()} are not kept",
            field="campaign_id",
            limit=str(store.base_height() + 1),
        )
    raise _not_found(campaign_id)


def check_record(raw: bytes, genesis: Genesis) -> ProvedCampaign:
    """Check a campaign's file. Nothing but the genesis is trusted.

    Args:
        raw: The file's bytes.
        genesis: The network's genesis.

    Returns:
        What the file proves.

    Raises:
        RefusalError: The first fault, with its place in the document as `field`: TOO_LARGE when the
            file has more than `MAX_BYTES`; MALFORMED when it is not such a document; WRONG_CHAIN or
            WRONG_GENESIS when it is of another network; WRONG_VALIDATORS_HASH or BAD_CERTIFICATE
            when a header commits to other validators or is not certified; BAD_ROOT when a block's
            transactions or receipts are others than its header's; BAD_PROOF when a member for
            reading differs from what is proved.
    """
    given = parse_object(raw, "campaign", MAX_BYTES)
    check_network(given, genesis, FORMAT)
    campaign_id = read_bytes(given, "campaign_id")
    trust = TrustPath(genesis)
    changes = follow_changes(read_member(given, "validator_changes", list), trust)
    reader = CampaignReader(campaign_id, genesis)
    blocks: list[dict[str, Any]] = []
    for i, item in enumerate(read_member(given, "blocks", list)):
        with within(f"blocks[{i}]"):
            view = _checked_block(item, trust, reader)
            if blocks and view["height"] <= blocks[-1]["height"]:
                raise malformed("height", "is not above that of the block before")
            if not reader.has_terms:
                raise malformed("transactions", "do not open the campaign")
        compare(item, view, f"blocks[{i}]")
        blocks.append(view)
    if not blocks:
        raise malformed("blocks", "is empty; at least the campaign's opening must be proved")
    summary = reader.summary()
    compare(given, _document(genesis, campaign_id, summary, changes, blocks), "")
    return ProvedCampaign(campaign_id, summary, len(blocks), len(changes))


def _checked_block(item: Any, trust: TrustPath, reader: CampaignReader) -> dict[str, Any]:
    raw, certificate = read_bytes(item, "header"), read_bytes(item, "certificate")
    header = trust.check_certified(raw, certificate)
    leaves = {name: _leaves(item, name) for name in ("transactions", "receipts")}
    for name, root in (
        ("transactions", header.transactions_root),
        ("receipts", header.receipts_root),
    ):
        if root_from_hashes([leaf.hash for leaf in leaves[name]]) != root:
            raise RefusalError(
                DataCode.BAD_ROOT,
                f"{name}: they are not those that the header commits to",
                field=name,
                limit=root.hex(),
            )
    view = reader.read(raw, header, certificate, leaves["transactions"], leaves["receipts"])
    if view is None:
        raise differs("height", header.height, "that nothing in this block is of the campaign")
    return view


def _leaves(item: Any, name: str) -> list[Leaf]:
    leaves = []
    for i, one in enumerate(read_member(item, name, list)):
        with within(f"{name}[{i}]"):
            if isinstance(one, dict) and "leaf" in one:
                hash = read_bytes(one, "leaf")
                if len(hash) != HASH_BYTES:
                    raise malformed("leaf", f"must have {HASH_BYTES} bytes")
                leaves.append(Leaf(hash))
            else:
                leaves.append(Leaf.of(read_bytes(one, "raw")))
    return leaves


def _document(
    genesis: Genesis,
    campaign_id: bytes,
    summary: dict[str, Any],
    changes: list[dict[str, Any]],
    blocks: list[dict[str, Any]],
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "chain_id": genesis.chain_id,
        "genesis_hash": genesis.hash.hex(),
        "campaign_id": campaign_id.hex(),
        "check": CHECK,
        "recompute": RECOMPUTE,
        "summary": summary,
        "blocks": blocks,
        "validator_changes": changes,
    }


def _not_found(campaign_id: bytes) -> RefusalError:
    return RefusalError(
        NetworkCode.CAMPAIGN_NOT_FOUND,
        f"no final block of this chain opened campaign {campaign_id.hex()}",
        field="campaign_id",
    )
