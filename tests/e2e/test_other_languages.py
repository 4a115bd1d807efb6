"""Wallets written in other languages, as docs/clients describes them, against a real node.

Each is built as a reader would build it: stubs from the proto files, a key and an address of its
own, and a payment that the network accepts.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fedcoin.application.wallet.transaction_drafts import MAX_FEE_FACTOR
from fedcoin.data.crypto.addresses import format_address, parse_address
from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.support.e2e.network import BOND, IDLE_MINER, Network, pay
from tests.support.keys import ALICE, BOB, key_of
from tests.support.language_clients import LANGUAGES, BuiltClient, build_client
from tests.support.programs import Stage
from tests.support.served_api import serve_api
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LANGUAGES_WITH_WALLETS = [name for name, one in LANGUAGES.items() if one.wallet]


@dataclass(frozen=True)
class Wallet:
    """A wallet that was built; its key is in its folder."""

    client: BuiltClient

    @property
    def language(self) -> str:
        return self.client.language.name

    @property
    def folder(self) -> Path:
        return self.client.folder

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        done = self.client.run(self.client.language.wallet, *arguments)
        return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture(scope="module", params=LANGUAGES_WITH_WALLETS)
def wallet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return Wallet(build_client(str(request.param), tmp_path_factory.mktemp("clients")))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Stage(tmp_path_factory.mktemp("languages")) as stage:
        network = Network(stage, [BOND], settings=IDLE_MINER)
        asyncio.run(network.start())
        yield network
        network.finish()


def balance(network: Network, address: str) -> int:
    async def ask() -> int:
        async with network.nodes[0].client() as client:
            return (await client.get_account(address)).balance

    return asyncio.run(ask())


def fund(network: Network, address: str, amount: int) -> None:
    async def send() -> None:
        async with network.nodes[0].client() as client:
            await pay(client, ALICE, parse_address(address), amount)

    asyncio.run(send())


def test_a_payment(wallet: Wallet, network: Network) -> None:
    node = network.nodes[0].api
    receiver = format_address(key_of(f"friend of {wallet.language}").address)
    code, said, complaint = wallet(node)
    assert (code, complaint) == (0, "")
    address, amount, unit = said.split()
    assert (amount, unit) == ("0", "sap")
    assert (wallet.folder / "client.key").stat().st_mode & 0o777 == 0o600
    fund(network, address, 5 * SAP_PER_FDC)
    for paid in (1, 3 * SAP_PER_FDC):
        code, said, complaint = wallet(node, network.nodes[0].home.genesis_path, receiver, paid)
        assert (code, complaint) == (0, "")
        assert "is final at height" in said
    assert balance(network, receiver) == 3 * SAP_PER_FDC + 1
    code, said, _ = wallet(node)
    assert said == f"{address} {balance(network, address)} sap"


@pytest.mark.parametrize(
    ("address", "amount", "reason"),
    [
        (format_address(BOB.address), 0, "it must be more"),
        (format_address(BOB.address), 10**15, "the balance is"),
        (format_address(BOB.address)[:-1] + "?", 1, ""),
    ],
    ids=["zero", "too much", "no address"],
)
def test_a_refusal(
    wallet: Wallet, network: Network, address: str, amount: int, reason: str
) -> None:
    code, said, complaint = wallet(
        network.nodes[0].api, network.nodes[0].home.genesis_path, address, amount
    )
    assert (code, said) == (1, "")
    assert complaint
    assert reason in complaint


def test_another_genesis_of_the_same_name(wallet: Wallet, network: Network, tmp_path: Path) -> None:
    """A signature for an earlier launch, whose genesis differs in one blank, moves no coins."""
    earlier = tmp_path / "genesis.json"
    earlier.write_bytes(network.nodes[0].home.genesis_path.read_bytes() + b" ")
    receiver = format_address(BOB.address)
    code, said, complaint = wallet(network.nodes[0].api, earlier, receiver, 1)
    assert (code, said) == (1, "")
    assert "signature" in complaint


@pytest.mark.parametrize("crowding", [0, 7, 1_000_000])
def test_the_fee_follows_the_mempool_up_to_a_cap(
    wallet: Wallet, tmp_path: Path, crowding: int
) -> None:
    """Where blocks are full, a wallet pays what the next block asks, and no more than its cap."""
    rich = Wallet(replace(wallet.client, folder=tmp_path / wallet.language))
    shutil.copytree(wallet.folder, rich.folder, symlinks=True)
    (rich.folder / "client.key").write_text(ALICE.seed.hex())
    minimum, fee = asyncio.run(fee_paid(rich, tmp_path, crowding))
    assert fee == min(max(1, crowding), MAX_FEE_FACTOR) * minimum


async def fee_paid(wallet: Wallet, folder: Path, crowding: int) -> tuple[int, int]:
    """Return the minimum fee, and what a wallet pays where the next block asks for a multiple."""
    async with serve_api(folder / "node") as live:
        (folder / "genesis.json").write_bytes(live.chain.genesis.raw)
        fees = await live.node.get_fees()
        minimum = fees.base_fee + fees.fee_per_kib
        live.pool.next_block_rate = crowding * minimum
        arguments = (live.server.address, folder / "genesis.json", format_address(BOB.address), 1)
        paying = asyncio.create_task(asyncio.to_thread(wallet, *arguments))
        await until(lambda: live.pool.pending() or paying.done())
        (transaction,) = live.pool.pending()
        live.chain.produce(transaction)
        code, said, complaint = await paying
        assert (code, complaint) == (0, "")
        assert "is final at height 1" in said
        return minimum, transaction.body.fee
