"""A private campaign among real nodes: valued and paid by its miners, and read by nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.verification.reveal_check import check_reveals
from fedcoin.application.wallet.reader_prover import make_prover
from fedcoin.contract.state import records
from fedcoin.data.artifacts.reader_proofs import ReaderKey
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.client_list import ListedClient, build_admission, build_client_list
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.incentive.payout import compute_deposit
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.link import Link, open_link
from fedcoin.network.peers.connections.security import Security
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import ReaderList
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.learners import CoordinatorProcess, Learner, learning, prepared
from tests.support.e2e.liars import SAMPLES, Liar
from tests.support.e2e.materials import Round, id_of
from tests.support.e2e.network import BOND, BRISK, FDC, Network, Node
from tests.support.keys import BOB, key_of
from tests.support.peer_nodes import introduction
from tests.support.programs import Stage, attempted, fedcoin

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READER, OUTSIDER, VISITOR, INVENTOR = (
    key_of(name) for name in ("reader", "outsider", "visitor", "inventor")
)
ROUNDS = 2


@dataclass
class PrivateLearner(Learner):
    """A client that proves its key to the coordinator; it tries without, too."""

    refused: list[str] = field(default_factory=list)

    async def join(self, client: FederatedClient) -> None:
        status = await client.get_campaign_status()
        while not status.campaign_id:
            await asyncio.sleep(0.2)
            status = await client.get_campaign_status()
        network, context = self.coordinator.chain.genesis_hash, SigningContext.CLIENT_READER
        for key in (None, key_of("spy")):
            if key is not None:
                reader = ReaderKey(key, network, context=context)
                client.prove = partial(reader.prove, status.proof_server, status.campaign_id)
            self.refused.append(await code_of(client.download_artifact(status.model)))
        reader = ReaderKey(self.key, network, context=context)
        client.prove = partial(reader.prove, status.proof_server, status.campaign_id)
        await client.download_artifact(status.model)
        await super().join(client)


async def code_of(call: object) -> str:
    try:
        await call  # type: ignore[misc]
    except RpcError as error:
        return error.code
    return "OK"


def held(node: Node, campaign_id: str = "") -> set[bytes]:
    """List the artifacts of a node's home: those for everybody, or a campaign's."""
    folder = node.home.artifacts_path / (f"private/{campaign_id}" if campaign_id else "")
    return {bytes.fromhex(path.stem) for path in folder.glob("*.data")}


async def look_from_the_api(node: Node, ids: Sequence[bytes], campaign_id: bytes) -> None:
    """Ask a node as a stranger, as an outsider with a proof, and as the named reader."""
    async with node.client() as client:
        genesis_hash = node.home.genesis().hash
        ask = partial(make_prover, client, genesis_hash=genesis_hash, campaign_id=campaign_id)
        spy, reader = await ask(key=OUTSIDER), await ask(key=READER)
        for id in ids:
            assert await code_of(client.download_artifact(id)) == "ARTIFACT_NOT_FOUND"
            assert await code_of(client.download_artifact(id, prove=spy)) == "NOT_A_READER"
            assert not await client.has_artifact(id)
            assert await code_of(client.download_artifact(id, prove=reader)) == "OK"


async def look_as_a_peer(node: Node, ids: Sequence[bytes], campaign_id: bytes) -> None:
    """Shake hands with a node as a peer that is no miner, and ask for everything."""
    genesis = node.home.genesis()
    link: Link = await open_link(
        parse_endpoint(node.peers),
        introduction(genesis, VISITOR),
        Security(None, insecure=False),
        5.0,
    )
    try:
        own = ReaderKey(VISITOR, genesis.hash)
        prove = partial(own.prove, node.key.public_key, campaign_id)
        for id in ids:
            assert await code_of(link.artifacts.download(id)) == "ARTIFACT_NOT_FOUND"
            assert await code_of(link.artifacts.download(id, prove=prove)) == "NOT_A_READER"
        # A proof of a reader for another node is of no use here.
        reader = ReaderKey(READER, genesis.hash)
        relayed = partial(reader.prove, OUTSIDER.public_key, campaign_id)
        assert await code_of(link.artifacts.download(ids[0], prove=relayed)) == "BAD_READER_PROOF"
        own_proof = partial(reader.prove, node.key.public_key, campaign_id)
        assert await code_of(link.artifacts.download(ids[0], prove=own_proof)) == "OK"
    finally:
        await link.close()


async def test_a_private_campaign_is_paid_and_read_by_nobody_else(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND] * 4, BRISK)
        outsider = network.add("outsider", OUTSIDER)
        await network.start()
        listed = tmp_path / "clients.txt"
        learners_keys = [key_of(f"learner {number}") for number in range(2)]
        listed.write_text("".join(f"{format_address(k.address)} 10000\n" for k in learners_keys))
        coordinator = await prepared(
            network,
            clients=2,
            rounds=ROUNDS,
            budget="3fdc",
            private=True,
            clients_file=str(listed),
            readers=[format_address(READER.address)],
        )
        learners = [PrivateLearner(coordinator, number, 2) for number in range(2)]
        await coordinator.start()
        async with learning(*learners) as tasks:
            await asyncio.wait_for(asyncio.gather(*tasks), 120)
        assert await coordinator.program.ended() == 0
        for learner in learners:
            assert learner.refused == ["ARTIFACT_NOT_FOUND", "NOT_A_READER"]
            assert sum(learner.paid.values()) > 0
        campaign_id = str(coordinator.state()["campaign_id"])
        await network.wait_for_one_state()
        async with outsider.client() as client:
            views = await client.list_tasks()
            assert (await client.get_campaign(campaign_id)).is_private
        for view in views:
            check_paid(view)
        assert len(views) == ROUNDS
        # The outsider has followed the chain, and was sent nothing.
        ids = sorted(held(network.nodes[0], campaign_id))
        assert {bytes.fromhex(c.update) for view in views for c in view.clients} <= set(ids)
        for node in network.nodes:
            assert not held(node)
        assert not held(outsider, campaign_id)
        for node in network.nodes[:4]:
            await look_as_a_peer(node, held_ids(node, campaign_id), bytes.fromhex(campaign_id))
            await look_from_the_api(node, held_ids(node, campaign_id), bytes.fromhex(campaign_id))
        await asyncio.to_thread(change_readers, network, coordinator, campaign_id, ids[0])
        await recompute_elsewhere(network, outsider)
        network.finish()
    await recompute(network.nodes[0])


def change_readers(
    network: Network, coordinator: CoordinatorProcess, campaign_id: str, id: bytes
) -> None:
    """Fetch by the command: refused, then named as the only reader by the requester, then not."""
    home = Home(network.stage.root / "auditor")
    home.add_key("auditor", OUTSIDER)
    home.write(network.raw_genesis, {})
    node, out = network.nodes[1], network.stage.root / "fetched"
    given = ("--campaign", campaign_id, "--key", "auditor", "--home", home.root)
    get = ("artifacts", "get", id.hex(), "--node", node.api, "--out", out, *given)
    code, _, said = attempted(*get)
    assert code == 1
    assert "NOT_A_READER" in said
    at = ("--home", coordinator.home.root, "--node", node.api)
    address = format_address(OUTSIDER.address)
    fedcoin("task", "readers", "set", campaign_id, address, *at)
    assert address in fedcoin("task", "readers", "show", campaign_id, *at)
    fedcoin(*get)
    assert id_of(out.read_bytes()) == id
    out.unlink()
    fedcoin("task", "readers", "set", campaign_id, "--nobody", *at)
    assert attempted(*get)[0] == 1
    assert not out.exists()
    fedcoin("task", "readers", "set", campaign_id, address, *at)


async def recompute_elsewhere(network: Network, outsider: Node) -> None:
    """Evaluate all reveals again in the home that has nothing, once its key is a reader's."""
    await network.wait_for_one_state()
    outsider.program.stop()
    verify = ("verify", "--home", outsider.home.root, "--recompute")
    lacking = await asyncio.to_thread(fedcoin, *verify)
    assert "artifacts are missing" in lacking
    fetching = (*verify, "--node", network.nodes[1].api)
    assert "artifacts are missing" in await asyncio.to_thread(fedcoin, *fetching)
    whole = await asyncio.to_thread(fedcoin, *fetching, "--key", "node")
    assert whole.endswith("Everything is valid.\n")
    assert "missing" not in whole


def held_ids(node: Node, campaign_id: str) -> list[bytes]:
    found = sorted(held(node, campaign_id))
    assert len(found) >= 6
    return found


async def recompute(node: Node) -> None:
    """Evaluate all reveals of the chain again, from what a miner holds for the campaign."""
    genesis = node.home.genesis()
    with ChainStore.open(node.home.chain_path, genesis) as store:
        found = await check_reveals(store, genesis, node.home.artifacts_path, lambda: None)
    assert not found.missing
    assert found.reveals >= ROUNDS


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND, BOND], BRISK, more_bonds={INVENTOR: FDC})
        asyncio.run(network.start())
        yield network
        network.finish()


def test_a_lie_about_private_weights_is_found(network: Network) -> None:
    """The miner that was not given the artifacts fetches them, and recomputes what was claimed."""
    asyncio.run(_find_a_lie(network))


async def _find_a_lie(network: Network) -> None:
    first, second = network.nodes
    async with first.client() as node, second.client() as other:
        schedule = task_pb2.SCHEDULE_PERMUTATION
        campaign = Campaign(node, network.chain, Round(3), schedule=schedule, max_samples=SAMPLES)
        listed = [ListedClient(key.address, 10_000) for key in campaign.keys]
        readers = ReaderList()
        await campaign.open(clients=build_client_list(listed), readers=readers)
        await upload(campaign, campaign.server)
        given = [build_admission(listed, key.address) for key in campaign.keys]
        terms = campaign.task(admissions=given, commit_window_ms=30_000, reveal_window_ms=8_000)
        task_id = (await campaign.submit_task(admissions=given, **windows(terms))).hash
        await node.wait_until_final(task_id)
        liar = Liar(other, INVENTOR, terms, task_id)
        invented = liar.tree(lambda coalitions: 40 + 50 * coalitions.sum(axis=1))
        least = first.home.genesis().parameters.commit_deposit
        deposit = compute_deposit(least, terms.prices.mining, winner_takes_all=False)
        assert await liar.commit(invented.build_opening(), deposit) == ""
        await reached(other, task_id, "CHALLENGE")
        assert await liar.reveal(invented.build_opening()) == ""
        view = await reached(other, task_id, "REVEAL")
        assert await liar.reveal(liar.proof(invented, view)) == "AUDIT_FAILED"
        view = await reached(node, task_id, "SETTLED")
        check_paid(view)
        assert not any(one.revealed for one in view.miners if one.address == liar.address)
        await steal(campaign, second)
    assert not held(first)
    assert not held(second)
    assert held(second, campaign.campaign_id.hex())
    with ChainStore.open(first.home.chain_path, first.home.genesis()) as store:
        assert records.TASKS.get(store, task_id) is not None


async def steal(victim: Campaign, node: Node) -> None:
    """Open tasks of one's own, open and private, whose artifacts are another's private ones.

    The node's miner holds them and may fetch them; the thief has none to give it.
    """
    thief = Campaign(victim.node, victim.chain, victim.work, requester=BOB, server=BOB)
    listed = [ListedClient(key.address, 10_000) for key in thief.keys]
    private = {
        "clients": build_client_list(listed),
        "readers": ReaderList(addresses=[OUTSIDER.address]),
    }
    proofs = [build_admission(listed, key.address) for key in thief.keys]
    for terms, admissions in (({}, []), (private, proofs)):
        await thief.open(**terms)
        with pytest.raises(RpcError) as refused:
            await thief.submit_task(admissions=admissions)
        assert refused.value.code == "UNKNOWN_ARTIFACT"
        assert not held(node, thief.campaign_id.hex())
    assert not held(node)


def windows(terms: task_pb2.OpenTask) -> dict[str, int]:
    return {
        "commit_window_ms": terms.commit_window_ms,
        "reveal_window_ms": terms.reveal_window_ms,
    }


async def upload(campaign: Campaign, key: KeyPair) -> None:
    """Upload a private campaign's artifacts to its node."""
    node, work = campaign.node, campaign.work
    prove = await make_prover(node, key, campaign.chain.genesis_hash, campaign.campaign_id)
    for raw in (work.model, work.base, work.aggregate, work.evaluation, *work.updates):
        await node.upload_artifact(raw, prove)
