"""Start validators of one checkout of this project, and sign the transfers that they will get.

`measurement` runs this file with the interpreter of that checkout, which may be older than this
one: names that moved are looked for in each place where they were. The network's genesis gives each
sender its coins. One line of JSON on the standard output says where the nodes listen. A line
`train` on the standard input starts the coordinator and the clients, so that the validators mine;
its end stops everything.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

_BALANCE = 10**11
_EXPIRY = 900_000
_SEED = 1


def find(*places: str) -> Any:
    """Import a name of this checkout.

    Args:
        *places: Where it is or was, each as `module:name` below `fedcoin`.

    Returns:
        What the first place that exists holds.

    Raises:
        ImportError: None of them exists.
    """
    for place in places:
        module, _, name = place.partition(":")
        try:
            return getattr(importlib.import_module(f"fedcoin.{module}"), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"this checkout has none of {', '.join(places)}")


_KeyPair = find("data.crypto.keys:KeyPair", "data.keys:KeyPair")
_format_address = find("data.crypto.addresses:format_address", "data.addresses:format_address")
_sign = find("data.messages.transactions:sign_transaction", "data.transactions:sign_transaction")
_Options = find("application.devnet.plan:DevnetOptions", "application.devnet.plan:Options")
_create = find("application.devnet.home_folders:create_devnet", "application.devnet.plan:lay_out")
_Processes = find(
    "application.devnet.child_processes:ChildProcesses", "application.devnet.processes:Processes"
)
_body_class = find("v1.transaction_pb2:TransactionBody")
_transfer_class = find("v1.transaction_pb2:Transfer")
_output_class = find("v1.transaction_pb2:TransferOutput")


def create_plan(validators: int, clients: int, root: Path) -> Any:
    """Write the homes of a devnet.

    Args:
        validators: How many validators there are.
        clients: How many clients there are.
        root: An empty folder.

    Returns:
        The checkout's plan of a devnet.
    """
    return _create(_Options(validators, clients, 1_000, "digits", 10**12, _SEED), root)


def make_senders(name: str, count: int) -> list[Any]:
    """Derive the keys of senders.

    Args:
        name: Tells these senders from others; at most 28 bytes.
        count: How many there are.

    Returns:
        Key pairs of the checkout.
    """
    prefix = name.encode().ljust(28, b"\0")
    return [_KeyPair.from_seed(prefix + number.to_bytes(4, "big")) for number in range(count)]


def rewrite_genesis(plan: Any, senders: list[Any]) -> None:
    """Give each sender coins, and let signed transfers last longer than any run.

    Args:
        plan: The devnet, whose homes get the changed genesis.
        senders: The key pairs that get coins.
    """
    homes = [member.home for member in plan.members]
    content = json.loads(homes[0].genesis_path.read_text())
    content.setdefault("parameters", {})["max_expiry_blocks"] = 1_000_000
    content["accounts"] += [
        {"address": _format_address(sender.address), "balance": str(_BALANCE)} for sender in senders
    ]
    raw = (json.dumps(content, indent=2) + "\n").encode()
    for home in homes:
        home.genesis_path.write_bytes(raw)


def sign_transfers(
    senders: list[Any], per_sender: int, receiver: bytes, genesis: Any
) -> Iterator[bytes]:
    """Sign transfers of one sap: the first of each sender, then the second, and so on.

    Args:
        senders: Who signs them.
        per_sender: How many each one signs.
        receiver: The address that gets them, 20 bytes.
        genesis: The network's genesis.

    Yields:
        Serialised signed transactions.
    """
    rules = genesis.parameters
    fee = rules.base_fee + rules.fee_per_kib
    # Earlier signatures named the chain in the body alone.
    has_hash = len(inspect.signature(_sign).parameters) == 3
    extra = (genesis.hash,) if has_hash else ()
    transfer = _transfer_class(outputs=[_output_class(recipient=receiver, amount=1)])
    for nonce in range(per_sender):
        body = _body_class(
            chain_id=genesis.chain_id,
            nonce=nonce,
            fee=fee,
            expiry_height=_EXPIRY,
            transfer=transfer,
        )
        for sender in senders:
            yield _sign(body, sender, *extra).raw


def _write_transfers(path: Path, transfers: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for raw in transfers:
            file.write(len(raw).to_bytes(4, "big") + raw)


def start_processes(logs: Path) -> Any:
    """Make the checkout's context manager of child processes.

    Args:
        logs: The folder of their logs.

    Returns:
        The context manager, not entered yet.
    """
    return _Processes(logs)


def start_members(processes: Any, members: Any) -> None:
    """Start the programs of some members of a devnet, each program once.

    Args:
        processes: What `start_processes` made, entered.
        members: Members of the plan.
    """
    started = set()
    for member in members:
        # Several clients may share one process; earlier checkouts had one for each.
        program = getattr(member, "program", member)
        if program.name not in started:
            started.add(program.name)
            processes.start(program.name, program.arguments, lasting=False)


def main(root: Path, validators: int, batches: dict[str, tuple[int, int]]) -> None:
    """Run a network until the standard input ends.

    Args:
        root: An empty folder for homes, logs and transfers.
        validators: How many validators there are.
        batches: By name, how many senders there are and how many transfers each one signs.
    """
    plan = create_plan(validators, 5, root)
    senders = {name: make_senders(name, count) for name, (count, _) in batches.items()}
    receiver = _KeyPair.from_seed(bytes(31) + b"\1")
    rewrite_genesis(plan, [*chain.from_iterable(senders.values()), receiver])
    genesis = plan.miners[0].member.home.genesis()
    files = {}
    for name, (_, per_sender) in batches.items():
        files[name] = str(root / f"{name}.transfers")
        signed = sign_transfers(senders[name], per_sender, receiver.address, genesis)
        _write_transfers(Path(files[name]), signed)
    with start_processes(root / "logs") as processes:
        miners = [miner.member for miner in plan.miners]
        start_members(processes, miners)
        description = {
            "apis": [miner.api for miner in plan.miners],
            "pids": [processes.pid(member.name) for member in miners],
            "receiver": _format_address(receiver.address),
            "files": files,
        }
        print(json.dumps(description), flush=True)
        for line in sys.stdin:
            if line.strip() == "train":
                start_members(processes, plan.members[len(miners) :])


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    main(Path(settings["root"]), settings["validators"], settings["batches"])
