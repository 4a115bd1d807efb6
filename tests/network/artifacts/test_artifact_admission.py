"""A node's API and its readers, over real connections: who gets what is held for a campaign."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.artifacts.manifest import CHUNK_BYTES
from fedcoin.data.artifacts.reader_proofs import sign_reader_proof
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.client_list import ListedClient, build_client_list
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.task_pb2 import ReaderList
from fedcoin.v1.transaction_pb2 import SetReaders
from tests.conftest import ReportAttack
from tests.support.artifact_listener import data
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.served_api import NODE, ServedApi, serve_api

READER, STRANGER = key_of("reader"), key_of("stranger")
CONTENT = data(2)


@dataclass
class PrivateSite:
    """A served API whose chain has a private campaign; its node holds one artifact for it."""

    live: ServedApi
    job: LedgerCampaign
    id: bytes = b""

    def prove(self, key: KeyPair, **changes: Any) -> Prove:
        given = {
            "server": NODE.public_key,
            "genesis_hash": self.job.chain.genesis.hash,
            "campaign_id": self.job.campaign_id,
            "expires_ms": unix_ms() + 60_000,
            **changes,
        }
        return partial(sign_reader_proof, key, **given)

    @property
    def store(self) -> ArtifactStore:
        return self.live.artifacts

    async def get(self, prove: Prove | None) -> bytes:
        return await self.live.node.download_artifact(self.id, prove=prove)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[PrivateSite]:
    async with serve_api(tmp_path) as live:
        job = LedgerCampaign(live.chain)
        listed = build_client_list([ListedClient(one.address, 100) for one in job.clients])
        job.open_campaign(clients=listed, readers=ReaderList(addresses=[READER.address]))
        made = PrivateSite(live, job)
        made.id = live.artifacts.room(job.campaign_id).put(CONTENT)
        yield made


async def code_of(call: Awaitable[Any]) -> str:
    try:
        await call
    except RpcError as error:
        return error.code
    return "OK"


async def test_readers_and_miners_get_it(site: PrivateSite) -> None:
    for key in (READER, ALICE, BOB, *site.job.chain.miners):
        assert await site.get(site.prove(key)) == CONTENT


async def test_nobody_else_gets_it(site: PrivateSite, report_attack: ReportAttack) -> None:
    open_campaign = LedgerCampaign(site.job.chain)
    open_campaign.open_campaign()
    refused: dict[str, list[Prove | None]] = {
        "ARTIFACT_NOT_FOUND": [None],
        "NOT_A_READER": [
            site.prove(STRANGER),
            site.prove(site.job.clients[0]),
            site.prove(ALICE, campaign_id=open_campaign.campaign_id),
            site.prove(ALICE, campaign_id=bytes(32)),
        ],
        "BAD_READER_PROOF": [
            site.prove(READER, server=STRANGER.public_key),
            site.prove(READER, expires_ms=unix_ms() - 1),
            site.prove(READER, expires_ms=unix_ms() + 3_600_000),
            site.prove(READER, genesis_hash=bytes(32)),
        ],
    }
    for code, proofs in refused.items():
        for prove in proofs:
            assert await code_of(site.get(prove)) == code
    report_attack(
        "ask a node for the weights of a private campaign, as a stranger, with an old proof, or"
        " with one for another node, network or campaign",
        "every caller gets every artifact by its id",
        f"{', '.join(refused)}: nothing",
    )


async def test_the_refusal_does_not_say_what_is_there(site: PrivateSite) -> None:
    async def message(id: bytes, prove: Prove | None) -> str:
        with pytest.raises(RpcError) as refused:
            await site.live.node.download_artifact(id, prove=prove)
        return refused.value.message.replace(id.hex(), "ID")

    for prove in (None, site.prove(STRANGER)):
        assert await message(site.id, prove) == await message(bytes(32), prove)
    assert not await site.live.node.has_artifact(site.id)


async def test_another_campaign_that_names_the_artifact_opens_nothing(
    site: PrivateSite, report_attack: ReportAttack
) -> None:
    """Somebody's own campaigns, open and private, name another's weights as their own."""
    thief = key_of("carol")
    for terms in (
        {},
        {
            "readers": ReaderList(addresses=[STRANGER.address]),
            "clients": build_client_list([ListedClient(thief.address, 1)]),
        },
    ):
        other = LedgerCampaign(site.job.chain, requester=thief, server=thief)
        other.open_campaign(model=site.id, initial_weights=site.id, **terms)
        for key in (thief, STRANGER):
            assert await code_of(site.get(None)) == "ARTIFACT_NOT_FOUND"
            proof = site.prove(key, campaign_id=other.campaign_id)
            assert await code_of(site.get(proof)) != "OK"
    report_attack(
        "name another's private weights in a campaign of one's own, to be sent them",
        "every caller gets every artifact by its id",
        "nothing: a copy is sent for the campaign alone for which it came",
    )


async def test_amended_readers_count_at_once(site: PrivateSite) -> None:
    chain = site.job.chain
    change = SetReaders(
        campaign_id=site.job.campaign_id, readers=ReaderList(addresses=[STRANGER.address])
    )
    chain.produce(chain.sign(ALICE, change))
    assert await code_of(site.get(site.prove(READER))) == "NOT_A_READER"
    assert await site.get(site.prove(STRANGER)) == CONTENT


async def test_uploads_go_where_they_are_meant(site: PrivateSite) -> None:
    node, room = site.live.node, site.store.room(site.job.campaign_id)
    other = data(1, 7)
    id = await node.upload_artifact(other, site.prove(BOB))
    assert room.has(id)
    assert not site.store.has(id)
    assert await code_of(node.upload_artifact(other, site.prove(STRANGER))) == "NOT_A_READER"
    # Who uploads for everybody must have the whole artifact, whatever the node holds already.
    assert await node.upload_artifact(other) == id
    assert site.store.has(id)
    assert await node.download_artifact(id) == other


async def test_a_part_does_not_open_the_whole(site: PrivateSite) -> None:
    """Somebody knows an artifact's manifest and its last chunk, and uploads these alone."""
    manifest = site.store.room(site.job.campaign_id).manifest(site.id)
    assert len(manifest.chunk_hashes) == 2
    site.store.begin(manifest)
    status = site.store.add_chunk
    with pytest.raises(Exception, match="chunk"):
        status(site.id, 1, CONTENT[CHUNK_BYTES:])
    assert await code_of(site.get(None)) == "ARTIFACT_NOT_FOUND"
