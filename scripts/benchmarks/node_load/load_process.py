"""Send signed transfers to validators, and measure when they are final.

The process gets its settings as one line of JSON, and prints what it measured as another. It knows
nothing of the nodes but their API: the receiver's balance counts the final transfers. Requests and
replies that it uses have the same encoding in all versions of the API; a node without
`SubmitTransactions` gets its transfers one by one.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from fedcoin.network.error_details import read_error_details
from fedcoin.v1 import node_service_pb2 as node_pb
from fedcoin.v1 import shapley_task_service_pb2 as task_pb
from fedcoin.v1 import transaction_service_pb2 as pb

_SERVICES = ("TransactionService", "TransactionRelayService")
"""The service that takes transfers, and its name in earlier versions."""

_NODE = "/fedcoin.v1.NodeService/"
_DEADLINE_S = 20.0
_POLL_S = 0.05
_STATUS_S = 0.02
_RETRY_S = 0.05
_TRAINING_START_S = 240.0
_SENDERS_OF_BATCH = 80
_BATCH_WORKERS, _SINGLE_WORKERS = 8, 48
_ACCEPTED_ALREADY = frozenset({"ALREADY_PENDING", "NONCE_TOO_LOW"})
_TRY_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""How a busy node answers. The transfer of a call that met its deadline may have been taken."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one phase of the load does."""

    # Each node's API, as host:port.
    apis: Sequence[str]
    # The receiver's address, in bech32m.
    receiver: str
    # The file of signed transfers; empty to send none.
    file: str
    # How many senders signed in turns.
    senders: int
    # How long the phase lasts.
    seconds: float
    # Transfers a second; 0 for as many as become final.
    rate: float
    # How many transfers may be neither final nor refused.
    window: int


@dataclass(slots=True)
class Counts:
    """How many transfers and calls a phase of the load has made so far, and how long they took."""

    submitted: int = 0
    final: int = 0
    # Seconds from submission to final, and of each GetStatus.
    finality: list[float] = field(default_factory=list)
    status: list[float] = field(default_factory=list)
    # Calls that were made again, and transfers that a node refused for good.
    retries: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)


class Node:
    """The calls to one node that the load needs."""

    def __init__(self, api: str) -> None:
        """Open a channel.

        Args:
            api: The node's API, as host:port.
        """
        self.channel = grpc.aio.insecure_channel(api, [("grpc.enable_http_proxy", 0)])
        self._service = _SERVICES[0]

    async def find_service(self) -> bool:
        """Find the service that takes transfers, once the node serves.

        Returns:
            Whether it takes many in one call.

        Raises:
            RuntimeError: When it answers none of the methods that take transfers.
        """
        for _ in range(600):
            with suppress(grpc.aio.AioRpcError):
                await self.status()
                break
            await asyncio.sleep(0.1)
        for service in _SERVICES:
            self._service = service
            if await self._answers("SubmitTransactions"):
                return True
            if await self._answers("SubmitTransaction"):
                return False
        raise RuntimeError("the node takes no transfers")

    async def status(self) -> None:
        """Ask for the node's status."""
        await self._call(f"{_NODE}GetStatus", b"")

    async def num_tasks(self) -> int:
        """Count the Shapley tasks that were opened, up to the size of a page."""
        reply = await self._call("/fedcoin.v1.ShapleyTaskService/ListTasks", b"")
        return len(task_pb.ListTasksResponse.FromString(reply).tasks)

    async def balance(self, address: str) -> int:
        """Read an account's balance after the last final block.

        Args:
            address: The address in bech32m.

        Returns:
            The balance in sap.
        """
        request = node_pb.GetAccountRequest(address=address).SerializeToString()
        reply = await self._call(f"{_NODE}GetAccount", request)
        return node_pb.GetAccountResponse.FromString(reply).account.balance

    async def submit(self, raw: bytes) -> str:
        """Submit one transfer.

        Args:
            raw: The serialised SignedTransaction.

        Returns:
            The transfer's hash in hex.
        """
        request = pb.SubmitTransactionRequest(transaction=raw).SerializeToString()
        reply = await self._call(self._method("SubmitTransaction"), request)
        return pb.SubmitTransactionResponse.FromString(reply).hash

    async def submit_all(self, raws: Sequence[bytes]) -> list[str]:
        """Submit many transfers in one call.

        Args:
            raws: Serialised SignedTransactions.

        Returns:
            For each the code of its refusal; empty when it was accepted.
        """
        request = pb.SubmitTransactionsRequest(transactions=raws).SerializeToString()
        reply = await self._call(self._method("SubmitTransactions"), request)
        results = pb.SubmitTransactionsResponse.FromString(reply).results
        return [result.reason for result in results]

    async def wait_until_final(self, hash: str) -> None:
        """Follow a transfer until it is in a final block.

        Args:
            hash: The transfer's hash, 64 hex digits.
        """
        request = pb.WatchTransactionRequest(hash=hash).SerializeToString()
        watch: Any = self.channel.unary_stream(self._method("WatchTransaction"))
        async for reply in watch(request, timeout=_DEADLINE_S):
            if pb.WatchTransactionResponse.FromString(reply).transaction.height:
                return

    async def _answers(self, method: str) -> bool:
        try:
            await self._call(self._method(method), b"")
        except grpc.aio.AioRpcError as error:
            return error.code() is not grpc.StatusCode.UNIMPLEMENTED
        return True

    def _method(self, name: str) -> str:
        return f"/fedcoin.v1.{self._service}/{name}"

    async def _call(self, method: str, request: bytes) -> bytes:
        call: Any = self.channel.unary_unary(method)
        reply: bytes = await call(request, timeout=_DEADLINE_S)
        return reply


class Load:
    """One phase: the transfers, the nodes, and what was counted."""

    def __init__(self, settings: Settings) -> None:
        """Read the transfers.

        Args:
            settings: What the phase does.
        """
        self._settings = settings
        self._nodes: list[Node] = []
        self._transfers = read_transfers(Path(settings.file)) if settings.file else []
        self._counts = Counts()
        self._end = 0.0

    async def run(self) -> dict[str, Any]:
        """Send the transfers.

        Returns:
            What was measured: numbers by name.
        """
        # A channel belongs to the event loop that runs when it is made.
        self._nodes = [Node(api) for api in self._settings.apis]
        takes_many = (await asyncio.gather(*(node.find_service() for node in self._nodes)))[0]
        before = await self._nodes[0].balance(self._settings.receiver)
        if not self._transfers:
            await self._wait_for_a_task()
        used, began = time.process_time(), time.monotonic()
        self._end = began + self._settings.seconds
        watchers = [
            asyncio.create_task(self._count_final(before)),
            asyncio.create_task(self._ask_status()),
        ]
        if not self._transfers:
            await asyncio.sleep(self._settings.seconds)
        elif self._settings.rate:
            await self._send_paced(began)
        else:
            await self._flood(takes_many)
        final, elapsed = self._counts.final, time.monotonic() - began
        share = (time.process_time() - used) / elapsed
        for watcher in watchers:
            watcher.cancel()
        return {
            "seconds": elapsed,
            "submitted": self._counts.submitted,
            "final": final,
            "load_cpu_share": share,
            "finality": self._counts.finality,
            "status": self._counts.status,
            "tasks": await self._nodes[0].num_tasks(),
            "retries": dict(self._counts.retries),
            "refusals": dict(self._counts.refusals),
        }

    async def _wait_for_a_task(self) -> None:
        deadline = time.monotonic() + _TRAINING_START_S
        while not await self._nodes[0].num_tasks():
            if time.monotonic() > deadline:
                raise RuntimeError("no training round came as far as a Shapley task")
            await asyncio.sleep(_RETRY_S)

    async def _count_final(self, before: int) -> None:
        while True:
            with suppress(grpc.aio.AioRpcError):
                balance = await self._nodes[0].balance(self._settings.receiver)
                self._counts.final = balance - before
            await asyncio.sleep(_POLL_S)

    async def _ask_status(self) -> None:
        turn = 0
        while True:
            node = self._nodes[turn % len(self._nodes)]
            turn += 1
            asked = time.monotonic()
            with suppress(grpc.aio.AioRpcError):
                await node.status()
            self._counts.status.append(time.monotonic() - asked)
            await asyncio.sleep(_STATUS_S)

    async def _send_paced(self, began: float) -> None:
        sending = []
        turns = [asyncio.Lock() for _ in range(self._settings.senders)]
        for index, raw in enumerate(self._transfers):
            due = began + index / self._settings.rate
            if due > self._end:
                break
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # The transfers of one sender go to one node, in the order of their nonces.
            sender = index % self._settings.senders
            node = self._nodes[sender % len(self._nodes)]
            sending.append(asyncio.create_task(self._send_and_wait(node, raw, turns[sender])))
        await asyncio.gather(*sending)

    async def _send_and_wait(self, node: Node, raw: bytes, turn: asyncio.Lock) -> None:
        began = time.monotonic()
        try:
            async with turn:
                hash = await self._submit_until_taken(node, raw)
            if hash:
                await self._watch_until_final(node, hash)
                self._counts.finality.append(time.monotonic() - began)
        except grpc.aio.AioRpcError as error:
            self._counts.refusals[_code_of(error)] += 1

    async def _submit_until_taken(self, node: Node, raw: bytes) -> str:
        """Submit a transfer; return its hash, or nothing where an earlier call had it taken."""
        while True:
            try:
                hash = await node.submit(raw)
            except grpc.aio.AioRpcError as error:
                if read_error_details(error).reason in _ACCEPTED_ALREADY:
                    return ""
                await self._before_retry(error)
            else:
                self._counts.submitted += 1
                return hash

    async def _watch_until_final(self, node: Node, hash: str) -> None:
        while True:
            try:
                await node.wait_until_final(hash)
            except grpc.aio.AioRpcError as error:
                await self._before_retry(error)
            else:
                return

    async def _before_retry(self, error: grpc.aio.AioRpcError) -> None:
        """Wait, or raise the error where no further call may help or the phase is over."""
        if error.code() not in _TRY_AGAIN or time.monotonic() > self._end + _DEADLINE_S:
            raise error
        self._counts.retries[_code_of(error)] += 1
        await asyncio.sleep(_RETRY_S)

    async def _flood(self, takes_many: bool) -> None:
        workers = _BATCH_WORKERS if takes_many else _SINGLE_WORKERS
        batches: list[list[list[bytes]]] = [[] for _ in range(workers)]
        senders = self._settings.senders
        for first in range(0, len(self._transfers), senders):
            turn = self._transfers[first : first + senders]
            for worker, own in enumerate(batches):
                own.append(turn[worker::workers])
        send = self._send_batch if takes_many else self._send_each
        await asyncio.gather(
            *(
                self._work(self._nodes[worker % len(self._nodes)], own, send)
                for worker, own in enumerate(batches)
            )
        )

    async def _work(
        self,
        node: Node,
        batches: Sequence[list[bytes]],
        send: Callable[[Node, list[bytes]], Awaitable[list[bytes]]],
    ) -> None:
        for batch in batches:
            waiting = batch
            while waiting:
                if time.monotonic() > self._end:
                    return
                if self._counts.submitted - self._counts.final > self._settings.window:
                    await asyncio.sleep(_POLL_S / 5)
                    continue
                waiting = await send(node, waiting)
                if waiting:
                    await asyncio.sleep(_RETRY_S)

    async def _send_batch(self, node: Node, batch: list[bytes]) -> list[bytes]:
        try:
            codes = await node.submit_all(batch)
        except grpc.aio.AioRpcError as error:
            self._counts.refusals[_code_of(error)] += 1
            return batch
        return [raw for raw, code in zip(batch, codes, strict=True) if not self._is_taken(code)]

    async def _send_each(self, node: Node, batch: list[bytes]) -> list[bytes]:
        for index, raw in enumerate(batch):
            try:
                await node.submit(raw)
            except grpc.aio.AioRpcError as error:
                if not self._is_taken(read_error_details(error).reason or _code_of(error)):
                    return batch[index:]
            else:
                self._counts.submitted += 1
        return []

    def _is_taken(self, code: str) -> bool:
        if code:
            self._counts.refusals[code] += 1
        self._counts.submitted += not code
        return not code or code in _ACCEPTED_ALREADY


def read_transfers(path: Path) -> list[bytes]:
    """Read signed transfers.

    Args:
        path: A file that holds each one behind its length, 4 bytes, big-endian.

    Returns:
        Serialised SignedTransactions.
    """
    content, transfers, start = path.read_bytes(), [], 0
    while start < len(content):
        end = start + 4 + int.from_bytes(content[start : start + 4], "big")
        transfers.append(content[start + 4 : end])
        start = end
    return transfers


def _code_of(error: grpc.aio.AioRpcError) -> str:
    """Name a kind of failure by its status and what it says, without numbers."""
    return f"{error.code().name}: {re.sub('[0-9]+', 'N', error.details() or '')[:60]}"


def main() -> None:
    """Run one phase with the settings on the standard input, and print what it measured."""
    settings = Settings(**json.loads(sys.stdin.readline()))
    print(json.dumps(asyncio.run(Load(settings).run())))


if __name__ == "__main__":
    main()
