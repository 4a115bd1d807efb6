"""`fedcoin-node signer`: hold a validator's key in a process of its own."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import click

from fedcoin.application.cli.shared.log_output import configure_logging
from fedcoin.application.cli.shared.options import AMOUNT, example, home_option, key_option
from fedcoin.application.cli.shared.passphrases import find_passphrase, passphrase_option
from fedcoin.application.cli.shared.service import serve
from fedcoin.application.configuration.home import Home
from fedcoin.data.clock import unix_ms
from fedcoin.data.messages.amounts import SAP_PER_FDC

log = logging.getLogger(__name__)


@click.command(
    epilog=example(
        "fedcoin-node signer --home s --from-height 1       the first time, in a new network",
        "fedcoin-node signer --home s",
        "fedcoin-node start --home a --mine --set miner.signer=unix:$PWD/s/signer.sock",
    )
)
@home_option
@key_option()
@click.option(
    "--listen",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="The Unix socket that the node dials [signer.sock in the home].",
)
@click.option(
    "--from-height",
    type=click.IntRange(min=1),
    metavar="HEIGHT",
    help="Sign no vote below this height: the chain's, 1 for a network that begins; for a key that "
    "has signed, one that the chain has not reached. Needed the first time.",
)
@click.option(
    "--max-fee",
    type=AMOUNT,
    default=SAP_PER_FDC,
    metavar="AMOUNT",
    help="The largest fee, and the largest deposit, of a transaction that is signed [1fdc].",
)
@click.option(
    "--max-per-day",
    type=AMOUNT,
    default=20 * SAP_PER_FDC,
    metavar="AMOUNT",
    help="The largest sum of fees and deposits in 24 hours; half is for reveals alone [20fdc].",
)
@click.option(
    "--block-ms",
    type=click.IntRange(min=1),
    default=50,
    metavar="MS",
    help="The shortest time between two blocks: votes run ahead no faster, beyond 1,000 heights "
    "[50].",
)
@passphrase_option
@click.option("--stop-with-stdin", is_flag=True, help="Stop when standard input is closed.")
def signer(
    home: Home,
    key_name: str,
    listen: Path | None,
    from_height: int | None,
    max_fee: int,
    max_per_day: int,
    block_ms: int,
    passphrase: str | None,
    stop_with_stdin: bool,
) -> None:
    """Hold a validator's key, and sign its votes for a node (miner.signer) by a Unix socket.

    It signs no vote that contradicts an earlier one, and of transactions only those of a miner: no
    transfer, bond or campaign. No vote is further ahead than time allows, and no day's fees and
    deposits are above a limit. What it has signed is in the home, beside the key. Run it as a user
    of its own, with a socket in a folder that the node's user reaches by that user's group.
    """
    from fedcoin.application.signing.signed_record import SignedRecordFile
    from fedcoin.application.signing.signer_server import SignerServer
    from fedcoin.application.signing.signing_policy import SigningLimits, SigningPolicy

    genesis_hash = home.genesis().hash
    key = home.key(key_name, find_passphrase(home, [key_name], passphrase))
    configure_logging("info", "text")
    path = listen or home.root / "signer.sock"
    with home.locked():
        record = SignedRecordFile.beside_key(home.keys_path, key_name, genesis_hash)
        limits = SigningLimits(max_fee, max_per_day, block_ms)
        policy = SigningPolicy(genesis_hash, record, limits, from_height, unix_ms)
        # A node that has this key instead later must look at what the signer signed.
        home.unused_key(key_name).consume()

        async def work(stop: asyncio.Event) -> None:
            async with SignerServer(key, policy).serve(path):
                log.info("signing with %s on %s", key.public_key.hex(), path)
                await stop.wait()

        serve(work, with_stdin=stop_with_stdin)
