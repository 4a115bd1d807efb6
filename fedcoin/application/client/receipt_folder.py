"""The receipts that a client was given for its updates, as files in its home.

    CAMPAIGN-ROUND-ADDRESS-UPDATE.json      the signed update and the server's signed receipt
    CAMPAIGN-ROUND-ADDRESS-UPDATE.weights   the update's weights, until its round is over
    CAMPAIGN-ROUND-ADDRESS-UPDATE.update    the signed update, where its receipt comes later

Each update has files of its own: a server that has a round trained again gets none of the weights
replaced for which it gave a receipt. With both a client can show that the server took its update,
and have it valued without the server.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.update_receipts import SignedUpdateReceipt, decode_update_receipt
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.v1.federated_learning_service_pb2 import WatchRoundsResponse
from fedcoin.v1.task_pb2 import SignedReceipt, SignedUpdate
from fedcoin.v1.views_pb2 import CampaignView

_FORMAT: Final = "fedcoin/update-receipt/v1"
_MAX_CLOCK_DIFFERENCE_MS: Final = 600_000

CLAIM_MS: Final = 30 * 86_400_000
"""How long weights are kept where nobody says that their round is over, in ms. The longest receipt
window is a week, and clients have two of them and the task's windows."""

MAX_WEIGHTS_BYTES: Final = 1 << 30
"""How many bytes of weights are kept where nobody says that their rounds are over."""

_UNANSWERED_S: Final = 3_600
"""After this time no receipt for an update comes any more, in seconds."""


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A receipt with the update that it is for; both signatures were verified."""

    update: Update
    """The client's own update."""
    receipt: SignedUpdateReceipt
    """The server's receipt for it."""


def check_receipt(
    envelope: SignedReceipt,
    update: Update,
    genesis_hash: bytes,
    *,
    server: bytes | None,
    now_ms: int,
) -> KeptReceipt:
    """Check what a coordinator answered to an update.

    Args:
        envelope: The signed receipt, as it was received.
        update: The client's own update.
        genesis_hash: The genesis hash of the network, 32 bytes.
        server: The address of the campaign's server on the chain, 20 bytes; None when the client
            has no node to ask.
        now_ms: The client's time, Unix ms.

    Returns:
        The receipt with its update.

    Raises:
        RefusalError: BAD_RECEIPT when it is invalid, is for another update, was signed by another
            key than the server's, or has a time that is more than ten minutes from `now_ms`.
    """
    receipt = _decode(envelope, genesis_hash)
    if not receipt.is_for(update):
        raise _bad("is for another update")
    if server is not None and receipt.server != server:
        raise _bad(
            f"was signed by {format_address(receipt.server)}; the campaign's server is "
            f"{format_address(server)}"
        )
    if abs(receipt.time_ms - now_ms) > _MAX_CLOCK_DIFFERENCE_MS:
        raise _bad(f"has a time that is more than {_MAX_CLOCK_DIFFERENCE_MS // 1000} s from now")
    return KeptReceipt(update, receipt)


def find_objection(campaign: CampaignView, change: WatchRoundsResponse, now_ms: int) -> str:
    """Tell why a receipt for a round would have no effect on the chain.

    Args:
        campaign: The campaign on the chain.
        change: The round as the coordinator describes it.
        now_ms: The client's Unix time in ms.

    Returns:
        The reason; empty when there is none.
    """
    if campaign.closed or campaign.closing_ms:
        return "its requester closes the campaign"
    if change.round != campaign.last_round + 1:
        return f"the campaign's next round on the chain is {campaign.last_round + 1}"
    if campaign.unit_price and change.base.hex() != campaign.best_weights:
        return f"the next round must start from the weights {campaign.best_weights}"
    if campaign.open_task_id:
        return f"its task {campaign.open_task_id} is open already"
    if campaign.receipts and now_ms >= campaign.receipts_due_ms:
        until = campaign.receipts_due_ms
        return f"receipts of this round could be registered until Unix time {until} ms"
    return ""


class ReceiptFolder:
    """Keeps the receipts of a home's clients.

    Args:
        home: The home folder.
        genesis_hash: The genesis hash of the network, 32 bytes.
    """

    def __init__(self, home: Path, genesis_hash: bytes) -> None:
        self._path = home / "receipts"
        self._genesis_hash = genesis_hash

    def save(self, kept: KeptReceipt, weights: bytes) -> Path:
        """Write a receipt and the weights that it is for. Both are on the disk when this returns.

        Args:
            kept: The receipt with its update.
            weights: The content of the update's artifact.

        Returns:
            The receipt's file.
        """
        self._path.mkdir(parents=True, exist_ok=True)
        replace_file(self.weights_path(kept.update), weights)
        content = {
            "format": _FORMAT,
            "campaign_id": kept.update.campaign_id.hex(),
            "round": kept.update.round,
            "address": format_address(kept.update.address),
            "artifact": kept.update.update.hex(),
            "time_ms": kept.receipt.time_ms,
            "update": kept.update.envelope.SerializeToString().hex(),
            "receipt": kept.receipt.envelope.SerializeToString().hex(),
        }
        path = self._path / f"{_stem(kept.update)}.json"
        replace_file(path, json.dumps(content, indent=1).encode())
        return path

    def save_update(self, update: Update, weights: bytes) -> None:
        """Write an update whose receipt will come later, and its weights.

        Args:
            update: The client's own update.
            weights: The content of the update's artifact.
        """
        self._path.mkdir(parents=True, exist_ok=True)
        replace_file(self.weights_path(update), weights)
        path = self._path / f"{_stem(update)}.update"
        replace_file(path, update.envelope.SerializeToString())
        newest = path.stat().st_mtime
        for other in self._path.glob("*.update"):
            if other.stat().st_mtime < newest - _UNANSWERED_S:
                other.with_suffix(".weights").unlink(missing_ok=True)
                other.unlink(missing_ok=True)

    def add_receipt(
        self, envelope: SignedReceipt, now_ms: int, *, max_bytes: int = MAX_WEIGHTS_BYTES
    ) -> KeptReceipt:
        """Add the receipt for an update that `save_update` wrote.

        The server's word that a later round has begun deletes nothing: whether a round is over,
        only the chain says (`drop_ended`). But weights are not kept beyond `CLAIM_MS`, nor more
        than `max_bytes` of them: then the oldest ones go, without those of the last two rounds.

        Args:
            envelope: The signed receipt, as it was received.
            now_ms: The client's time, Unix ms.
            max_bytes: How many bytes of weights are kept.

        Returns:
            The receipt with its update, both on the disk.

        Raises:
            RefusalError: BAD_RECEIPT when it is invalid, or for no such update (`check_receipt`).
            OSError: A file cannot be read or written.
        """
        for path in sorted(self._path.glob("*.update")):
            update = decode_update(SignedUpdate.FromString(path.read_bytes()), self._genesis_hash)
            if not _decode(envelope, self._genesis_hash).is_for(update):
                continue
            kept = check_receipt(envelope, update, self._genesis_hash, server=None, now_ms=now_ms)
            self.save(kept, self.weights_path(update).read_bytes())
            path.unlink()
            self._make_room(update, now_ms, max_bytes)
            return kept
        raise _bad("is for no update that this client has signed")

    def load(self) -> tuple[KeptReceipt, ...]:
        """Read all receipts, and verify their signatures.

        Returns:
            The receipts by campaign, round and address.

        Raises:
            RefusalError: BAD_RECEIPT when a file is not a receipt of this network.
        """
        kept = [self._read(path) for path in sorted(self._path.glob("*.json"))]
        return tuple(sorted(kept, key=lambda k: (k.update.campaign_id, k.update.round)))

    def weights_path(self, update: Update) -> Path:
        """Name the file of an update's weights.

        Args:
            update: An update whose receipt was saved.

        Returns:
            The file, which exists until `drop_weights`.
        """
        return self._path / f"{_stem(update)}.weights"

    def drop_ended(self, campaign: CampaignView) -> int:
        """Delete the weights of rounds that are over on the chain; the receipts stay.

        Args:
            campaign: A campaign, as a node tells it that the client trusts.

        Returns:
            How many bytes were deleted.
        """
        last_round = campaign.rounds if campaign.closed else campaign.last_round
        freed = 0
        for kept in self.load():
            path = self.weights_path(kept.update)
            is_its = kept.update.campaign_id.hex() == campaign.campaign_id
            if is_its and kept.update.round <= last_round and path.exists():
                freed += path.stat().st_size
                path.unlink()
        return freed

    def drop_weights(self, update: Update) -> None:
        """Delete the weights of a client's updates of a round that was paid; the receipts stay.

        Args:
            update: One of these updates.
        """
        for path in self._path.glob(f"{_round_stem(update)}-*.weights"):
            path.unlink(missing_ok=True)

    def _make_room(self, latest: Update, now_ms: int, max_bytes: int) -> None:
        """Delete weights that are too old or too many, the oldest first."""
        having = [kept for kept in self.load() if self.weights_path(kept.update).exists()]
        total = sum(self.weights_path(kept.update).stat().st_size for kept in having)
        for kept in sorted(having, key=lambda one: one.receipt.time_ms):
            update, path = kept.update, self.weights_path(kept.update)
            is_latest = (update.campaign_id, update.address) == (
                latest.campaign_id,
                latest.address,
            ) and update.round >= latest.round - 1
            is_old = kept.receipt.time_ms < now_ms - CLAIM_MS
            if is_old or (total > max_bytes and not is_latest):
                total -= path.stat().st_size
                path.unlink()

    def _read(self, path: Path) -> KeptReceipt:
        try:
            content = json.loads(path.read_bytes())
            if content["format"] != _FORMAT:
                raise ValueError("it has another format")
            signed = canonical.decode(SignedUpdate, bytes.fromhex(content["update"]))
            envelope = canonical.decode(SignedReceipt, bytes.fromhex(content["receipt"]))
            update = decode_update(signed, self._genesis_hash)
            receipt = decode_update_receipt(envelope, self._genesis_hash)
            if not receipt.is_for(update):
                raise ValueError("it is for another update")
            return KeptReceipt(update, receipt)
        except (OSError, ValueError, KeyError, TypeError, RefusalError) as error:
            raise _bad(f"in {path} cannot be used: {error}") from error


def _decode(envelope: SignedReceipt, genesis_hash: bytes) -> SignedUpdateReceipt:
    try:
        return decode_update_receipt(envelope, genesis_hash)
    except RefusalError as refusal:
        raise _bad(f"is invalid: {refusal.message}") from refusal


def _stem(update: Update) -> str:
    return f"{_round_stem(update)}-{update.update.hex()[:16]}"


def _round_stem(update: Update) -> str:
    return f"{update.campaign_id.hex()[:16]}-{update.round}-{update.address.hex()[:8]}"


def _bad(problem: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_RECEIPT,
        f"the receipt for an update {problem}",
        field="receipt",
    )
