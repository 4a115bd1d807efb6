"""An API refuses transactions that break a rule, each with its own code, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import grpc
import pytest
from grpc import StatusCode

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction, sign_transaction
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError, rpc_error_of
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.link import Introduction, open_link
from fedcoin.network.peers.connections.security import Security
from fedcoin.v1 import transaction_relay_service_pb2 as pb
from fedcoin.v1.transaction_pb2 import (
    Bond,
    SignedTransaction,
    TransactionBody,
    Transfer,
    TransferOutput,
    Unbond,
)
from tests.support.e2e.network import BOND, FUNDS, IDLE_MINER, Network, pay
from tests.support.genesis import OTHER_GENESIS_HASH
from tests.support.keys import ALICE, BOB, key_of
from tests.support.programs import Stage, attempted

NOBODY = key_of("nobody")
SUBMIT = "/fedcoin.v1.TransactionService/SubmitTransaction"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Stage(tmp_path_factory.mktemp("transactions")) as stage:
        network = Network(stage, [BOND], settings=IDLE_MINER)
        asyncio.run(begin(network))
        yield network
        network.finish()


async def begin(network: Network) -> None:
    """Make some blocks, so that a nonce and a height can be too low."""
    await network.start()
    async with network.nodes[0].client() as client:
        for _ in range(2):
            await pay(client, ALICE, BOB.address, 1)


@asynccontextmanager
async def unharmed(network: Network) -> AsyncIterator[NodeClient]:
    """Yield a client of a node, and check afterwards that the node is unchanged and works."""
    async with network.nodes[0].client() as client:
        before, accounts = await client.get_status(), await balances(client)
        yield client
        after = await client.get_status()
        assert (after.height, after.app_hash) == (before.height, before.app_hash)
        assert after.pending_transactions == 0
        assert await balances(client) == accounts
        assert after.supply == after.counted_supply


async def balances(client: NodeClient) -> list[tuple[int, int]]:
    views = [await client.get_account(key.address) for key in (ALICE, BOB, NOBODY)]
    return [(view.balance, view.nonce) for view in views]


@dataclass(frozen=True)
class Case:
    """A transaction that breaks a rule, and the refusal."""

    name: str
    code: str
    status: StatusCode
    make: Callable[[TransactionBody, bytes], Transaction | bytes]
    field: str = ""


def changed(key: KeyPair = ALICE, **fields: Any) -> Callable[[TransactionBody, bytes], Transaction]:
    """Change plain fields of the valid body, and sign it."""

    def make(body: TransactionBody, genesis_hash: bytes) -> Transaction:
        for name, value in fields.items():
            current = getattr(body, name)
            setattr(body, name, value(current) if callable(value) else value)
        return sign_transaction(body, key, genesis_hash)

    return make


def acting(action: Any, key: KeyPair = ALICE) -> Callable[[TransactionBody, bytes], Transaction]:
    """Replace the action of the valid body, and sign it with a sufficient fee."""

    def make(body: TransactionBody, genesis_hash: bytes) -> Transaction:
        body.ClearField("transfer")
        names = {Transfer: "transfer", Bond: "bond", Unbond: "unbond"}
        getattr(body, names[type(action)]).CopyFrom(action)
        body.fee = 10**6
        return sign_transaction(body, key, genesis_hash)

    return make


def paying(*amounts: int, recipient: bytes = BOB.address) -> Transfer:
    return Transfer(outputs=[TransferOutput(recipient=recipient, amount=a) for a in amounts])


def resigned(body: TransactionBody, genesis_hash: bytes) -> bytes:
    """Sign with another key than the one in the envelope."""
    envelope = SignedTransaction.FromString(sign_transaction(body, NOBODY, genesis_hash).raw)
    envelope.public_key = ALICE.public_key
    return envelope.SerializeToString()


def relaunched(body: TransactionBody, genesis_hash: bytes) -> Transaction:
    """Sign for a network of the same name with another genesis."""
    return sign_transaction(body, ALICE, OTHER_GENESIS_HASH)


def altered(body: TransactionBody, genesis_hash: bytes) -> bytes:
    """Change the body after signing it."""
    envelope = SignedTransaction.FromString(sign_transaction(body, ALICE, genesis_hash).raw)
    body.transfer.outputs[0].amount += 1
    envelope.body = body.SerializeToString(deterministic=True)
    return envelope.SerializeToString()


def short_signature(body: TransactionBody, genesis_hash: bytes) -> bytes:
    envelope = SignedTransaction.FromString(sign_transaction(body, ALICE, genesis_hash).raw)
    envelope.signature = envelope.signature[:63]
    return envelope.SerializeToString()


def unknown_action(body: TransactionBody, genesis_hash: bytes) -> bytes:
    """Use an action that a later version may add: field 99."""
    body.ClearField("transfer")
    raw = body.SerializeToString(deterministic=True) + b"\x9a\x06\x02\x08\x01"
    return _sealed(raw, genesis_hash)


def second_encoding(body: TransactionBody, genesis_hash: bytes) -> bytes:
    """Encode the same body differently: one field twice."""
    raw = body.SerializeToString(deterministic=True)
    return _sealed(raw + raw[: 2 + len(body.chain_id)], genesis_hash)


def no_body(body: TransactionBody, genesis_hash: bytes) -> bytes:
    return _sealed(b"\xff\xff\xff", genesis_hash)


def _sealed(raw: bytes, genesis_hash: bytes) -> bytes:
    signature = ALICE.sign(SigningContext.TX, genesis_hash, raw)
    envelope = SignedTransaction(body=raw, public_key=ALICE.public_key, signature=signature)
    return envelope.SerializeToString()


def oversized(body: TransactionBody, genesis_hash: bytes) -> Transaction:
    """Add more outputs than fit into a mebibyte."""
    body.fee = 10**9
    output = TransferOutput(recipient=BOB.address, amount=1)
    body.transfer.outputs.extend([output] * 50_000)
    return sign_transaction(body, ALICE, genesis_hash)


INVALID, FAILED = StatusCode.INVALID_ARGUMENT, StatusCode.FAILED_PRECONDITION

CASES = [
    Case("signed by another key", "BAD_SIGNATURE", INVALID, resigned, "signature"),
    Case("altered after signing", "BAD_SIGNATURE", INVALID, altered, "signature"),
    Case("a short signature", "MALFORMED", INVALID, short_signature, "signature"),
    Case("another chain", "WRONG_CHAIN", INVALID, changed(chain_id="fedcoin-other"), "chain_id"),
    Case("an earlier launch", "BAD_SIGNATURE", INVALID, relaunched, "signature"),
    Case("a nonce that was used", "NONCE_TOO_LOW", FAILED, changed(nonce=0), "nonce"),
    Case("a nonce to come", "NONCE_TOO_HIGH", FAILED, changed(nonce=lambda n: n + 1), "nonce"),
    Case("no fee", "FEE_TOO_LOW", INVALID, changed(fee=0), "fee"),
    Case("a fee too low", "FEE_TOO_LOW", INVALID, changed(fee=lambda fee: fee - 1), "fee"),
    Case("a fee beyond all coins", "AMOUNT_OVERFLOW", INVALID, changed(fee=2**64 - 1), "fee"),
    Case("a fee too high to pay", "INSUFFICIENT_BALANCE", FAILED, changed(fee=FUNDS), "fee"),
    Case("expired", "EXPIRED", FAILED, changed(expiry_height=1), "expiry_height"),
    Case("no expiry", "EXPIRED", FAILED, changed(expiry_height=0), "expiry_height"),
    Case("expires too late", "EXPIRY_TOO_FAR", FAILED, changed(expiry_height=10**6),
         "expiry_height"),
    Case("nothing sent", "ZERO_AMOUNT", INVALID, acting(paying(0)), "outputs[0].amount"),
    Case("more than there is", "INSUFFICIENT_BALANCE", FAILED, acting(paying(FUNDS)),
         "outputs.amount"),
    Case("in pieces more than there is", "INSUFFICIENT_BALANCE", FAILED,
         acting(paying(FUNDS // 2, FUNDS // 2)), "outputs.amount"),
    Case("one amount overflows", "AMOUNT_OVERFLOW", INVALID, acting(paying(2**64 - 1)),
         "outputs[0].amount"),
    Case("the sum overflows", "AMOUNT_OVERFLOW", INVALID, acting(paying(*[2**62] * 4)),
         "outputs.amount"),
    Case("nobody to send to", "NO_OUTPUTS", INVALID, acting(Transfer()), "outputs"),
    Case("too many to send to", "TOO_MANY_OUTPUTS", INVALID, acting(paying(*[1] * 257)), "outputs"),
    Case("a short address", "BAD_RECIPIENT", INVALID,
         acting(paying(1, recipient=BOB.address[:19])), "outputs[0].recipient"),
    Case("no address", "BAD_RECIPIENT", INVALID, acting(paying(1, recipient=b"")),
         "outputs[0].recipient"),
    Case("an empty account", "INSUFFICIENT_BALANCE", FAILED, changed(NOBODY, nonce=0), "fee"),
    Case("nothing bonded", "ZERO_AMOUNT", INVALID, acting(Bond()), "amount"),
    Case("a bond too small", "BOND_TOO_SMALL", INVALID, acting(Bond(amount=1)), "amount"),
    Case("no bond to take", "INSUFFICIENT_BOND", FAILED, acting(Unbond(amount=1)), "amount"),
    Case("a later version's action", "UNKNOWN_ACTION", INVALID, unknown_action, "action"),
    Case("said in other bytes", "MALFORMED", INVALID, second_encoding),
    Case("no transaction within", "MALFORMED", INVALID, no_body),
    Case("an empty one", "MALFORMED", INVALID, lambda body, genesis_hash: b""),
    Case("oversized", "TOO_LARGE", StatusCode.RESOURCE_EXHAUSTED, oversized, "transaction"),
]  # fmt: skip


async def good_body(client: NodeClient, network: Network) -> TransactionBody:
    """Return a transfer that the node accepts."""
    account = await client.get_account(ALICE.address)
    return TransactionBody(
        chain_id=network.chain.chain_id,
        nonce=account.nonce,
        fee=11_000,
        expiry_height=(await client.get_status()).height + 50,
        transfer=paying(5),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_refused(network: Network, case: Case) -> None:
    async with unharmed(network) as client:
        made = case.make(await good_body(client, network), network.chain.genesis_hash)
        raw = made.raw if isinstance(made, Transaction) else made
        with pytest.raises(RpcError) as caught:
            await client.submit_transaction(raw)
        failure = caught.value
        assert (failure.code, failure.status) == (case.code, case.status), failure
        if case.field:
            assert failure.field == case.field
        # The message is a sentence, not a stack trace.
        assert "Traceback" not in failure.message
        assert len(failure.message) < 600
        if isinstance(made, Transaction):
            with pytest.raises(RpcError) as unknown:
                await client.get_transaction(made.hash)
            assert unknown.value.code == "TRANSACTION_NOT_FOUND"


async def test_a_valid_transfer_is_accepted(network: Network) -> None:
    """The cases above differ from this transfer in one detail. Sending it again changes nothing."""
    async with network.nodes[0].client() as client:
        body = await good_body(client, network)
        transaction = sign_transaction(body, ALICE, network.chain.genesis_hash)
        assert await client.submit_transaction(transaction.raw) == transaction.hash.hex()
        await client.wait_until_final(transaction.hash)
        height = (await client.get_status()).height
        assert await client.submit_transaction(transaction.raw) == transaction.hash.hex()
        assert (await client.get_status()).height == height


async def test_a_relayed_batch_counts_its_valid_transactions(network: Network) -> None:
    node = network.nodes[0]
    async with node.client() as client:
        before = await client.get_account(ALICE.address)
        body = await good_body(client, network)
        genesis_hash = network.chain.genesis_hash
        good = sign_transaction(body, ALICE, genesis_hash)
        bad = [altered(body, genesis_hash), b"\xff" * 100]
        introduction = Introduction(
            node.home.genesis(), key_of("peer"), "peer/1", lambda: "", lambda: 0
        )
        link = await open_link(
            parse_endpoint(node.peers), introduction, Security(None, insecure=False), 5.0
        )
        request = pb.RelayTransactionsRequest(transactions=[*bad, good.raw, good.raw])
        reply = await link.transactions.RelayTransactions(request, metadata=link.metadata)
        await link.close()
        assert reply.accepted == 1
        await client.wait_until_final(good.hash)
        assert (await client.get_account(ALICE.address)).nonce == before.nonce + 1


async def test_an_oversized_message_is_refused_by_grpc(network: Network) -> None:
    """gRPC refuses five mebibytes before the node sees them."""
    async with unharmed(network) as client:
        call = cast("Any", client.channel).unary_unary(SUBMIT)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\x0a\x80\x80\xc0\x02" + bytes(5 << 20))
        assert rpc_error_of(caught.value, "").status == StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("arguments", "exit_code", "word"),
    [
        (["send", "fc1nonsense", "1fdc"], 2, "BAD_ADDRESS"),
        (["send", "RECIPIENT", "1.5"], 2, "BAD_AMOUNT"),
        (["send", "RECIPIENT", "0"], 1, "ZERO_AMOUNT"),
        (["send", "RECIPIENT", "9000000fdc"], 1, "INSUFFICIENT_BALANCE"),
        (["unbond", "5000fdc"], 1, "INSUFFICIENT_BOND"),
        (["unbond", "1000fdc"], 1, "LAST_VALIDATOR"),
        (["account", "fc1nonsense"], 2, "BAD_ADDRESS"),
    ],
)
async def test_the_command_line_explains_a_refusal(
    network: Network, arguments: list[str], exit_code: int, word: str
) -> None:
    home = network.nodes[0].home.root
    typed = [format_address(BOB.address) if a == "RECIPIENT" else a for a in arguments]
    async with unharmed(network):
        code, out, err = await asyncio.to_thread(attempted, *typed, "--home", home)
    assert (code, out) == (exit_code, "")
    assert f"[{word}]" in err
    assert "Traceback" not in err
