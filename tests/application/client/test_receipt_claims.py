"""What a client claims with its receipts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from fedcoin.application.client.receipt_claims import find_receipt, open_next_round
from fedcoin.application.client.receipt_folder import ReceiptFolder, check_receipt
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.update_receipts import sign_receipt
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.v1.shapley_task_service_pb2 import GetNextRoundResponse
from fedcoin.v1.task_pb2 import ClientUpdate
from fedcoin.v1.views_pb2 import CampaignView
from tests.support.genesis import GENESIS_HASH

CLIENT = KeyPair.from_seed(bytes(32))
SERVER = KeyPair.from_seed(b"s" * 32)
CAMPAIGN = b"c" * 32
NOW = 1_700_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> ReceiptFolder:
    """A home's receipts: one, for round 2."""
    message = ClientUpdate(
        campaign_id=CAMPAIGN,
        round=2,
        base=b"b" * 32,
        update=b"u" * 32,
        num_samples=100,
        address=CLIENT.address,
    )
    update = decode_update(sign_update(message, CLIENT, GENESIS_HASH), GENESIS_HASH)
    receipt = sign_receipt(update, NOW, SERVER, GENESIS_HASH)
    kept = check_receipt(receipt, update, GENESIS_HASH, server=SERVER.address, now_ms=NOW)
    found = ReceiptFolder(tmp_path, GENESIS_HASH)
    found.save(kept, b"weights")
    return found


def test_the_receipt_of_the_round_is_found(folder: ReceiptFolder) -> None:
    assert find_receipt(folder, CAMPAIGN, 2, CLIENT.address).update.round == 2


@pytest.mark.parametrize(
    ("campaign", "round", "address"),
    [
        (b"d" * 32, 2, CLIENT.address),
        (CAMPAIGN, 3, CLIENT.address),
        (CAMPAIGN, 2, SERVER.address),
    ],
)
def test_a_receipt_of_another_round_is_no_claim(
    folder: ReceiptFolder, campaign: bytes, round: int, address: bytes
) -> None:
    with pytest.raises(RefusalError) as caught:
        find_receipt(folder, campaign, round, address)
    assert caught.value.code is ApplicationCode.NO_RECEIPT


class _PrivateNode:
    """Says that a campaign is private, and must not be asked for anything else."""

    async def get_next_round(self, campaign_id: bytes) -> GetNextRoundResponse:
        return GetNextRoundResponse(campaign=CampaignView(is_private=True))


async def test_a_client_proves_nothing_to_a_node_whose_key_it_does_not_know() -> None:
    def refuse() -> bytes:
        raise RefusalError(ApplicationCode.BAD_ARGUMENT, "name the node's key")

    node, wallet = cast(Any, _PrivateNode()), cast(Any, None)
    with pytest.raises(RefusalError) as caught:
        await open_next_round(node, wallet, CAMPAIGN, (), print, refuse)
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
