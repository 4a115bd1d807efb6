"""AdminService: what only the operator may ask for, over a Unix socket."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from types import MappingProxyType
from typing import Final

from fedcoin.data.errors import RefusalError
from fedcoin.network.api.backend import OperatorPort
from fedcoin.network.api.backup_targets import BackupTargets, already_exists, bad_path
from fedcoin.network.api.request_fields import parse_hash
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.peers_port import Peers
from fedcoin.v1 import admin_service_pb2 as pb
from fedcoin.v1.admin_service_pb2_grpc import AdminServiceServicer

_LOG_LEVELS: Final = MappingProxyType(
    {
        "debug": logging.DEBUG,
        "info": logging.INFO,
        "warning": logging.WARNING,
        "error": logging.ERROR,
    }
)


class AdminServicer(AdminServiceServicer):
    """Serves `admin_service.proto`, which states each method's limits and errors."""

    def __init__(
        self, chain: ChainPort, peers: Peers, operator: OperatorPort, targets: BackupTargets
    ) -> None:
        """Serve a node.

        Args:
            chain: The chain, for backups.
            peers: The node's peers.
            operator: The part of the node that changes the log level and stops it.
            targets: Decides where callers of this listener may have backups written.
        """
        self._chain = chain
        self._peers = peers
        self._operator = operator
        self._targets = targets
        self._backing_up = threading.Lock()

    async def AddPeer(self, request: pb.AddPeerRequest, context: CallContext) -> pb.AddPeerResponse:
        """Dial a peer and keep it in the address book.

        Raises:
            RefusalError: BAD_HOST when the address is malformed; PEER_UNREACHABLE when the peer
                does not answer; WRONG_PEER when another key answers; BANNED when its key or host is
                banned; another code of `open_link` when the handshake failed.
        """
        node_key = await self._peers.add(request.address)
        return pb.AddPeerResponse(node_key=node_key.hex())

    async def DropPeer(
        self, request: pb.DropPeerRequest, context: CallContext
    ) -> pb.DropPeerResponse:
        """Disconnect a peer.

        Raises:
            RefusalError: MALFORMED when the key is not 64 hex digits; PEER_NOT_CONNECTED when no
                peer has this key.
        """
        await self._peers.drop(parse_hash(request.node_key, "node_key"))
        return pb.DropPeerResponse()

    async def BanPeer(self, request: pb.BanPeerRequest, context: CallContext) -> pb.BanPeerResponse:
        """Disconnect a peer and refuse it, or all peers of a host, for a time.

        Raises:
            RefusalError: MALFORMED when the key is not 64 hex digits, or both or neither of key and
                host are given; BAD_HOST when the host is not an IP address.
        """
        if request.node_key and request.host:
            raise RefusalError(
                NetworkCode.MALFORMED,
                "node_key and host: both are set; give the one that is to be banned",
                field="host",
            )
        if request.host:
            await self._peers.ban_host(request.host, request.seconds)
        else:
            await self._peers.ban(parse_hash(request.node_key, "node_key"), request.seconds)
        return pb.BanPeerResponse()

    async def SetLogLevel(
        self, request: pb.SetLogLevelRequest, context: CallContext
    ) -> pb.SetLogLevelResponse:
        """Change how much the node logs.

        Raises:
            RefusalError: BAD_LOG_LEVEL when the level is unknown.
        """
        level = _LOG_LEVELS.get(request.level)
        if level is None:
            known = ", ".join(_LOG_LEVELS)
            raise RefusalError(
                NetworkCode.BAD_LOG_LEVEL,
                f"level is {request.level[:32]!r}; it must be one of {known}",
                field="level",
                limit=known,
            )
        self._operator.set_log_level(level)
        return pb.SetLogLevelResponse()

    async def Backup(self, request: pb.BackupRequest, context: CallContext) -> pb.BackupResponse:
        """Copy the chain's database to a new file.

        Raises:
            RefusalError: BAD_PATH when the listener allows no such path or it cannot be written;
                FILE_EXISTS when there is such a file; TOO_MANY_BACKUPS when the folder is full, or
                another backup is being written.
        """
        return await asyncio.to_thread(self._backup_alone, request.path)

    async def Drain(self, request: pb.DrainRequest, context: CallContext) -> pb.DrainResponse:
        """Have the miner finish what it has committed to, and then stop the node."""
        return pb.DrainResponse(at_stake=self._operator.drain())

    async def Stop(self, request: pb.StopRequest, context: CallContext) -> pb.StopResponse:
        """Begin to stop the node."""
        self._operator.stop()
        return pb.StopResponse()

    def _backup_alone(self, wanted: str) -> pb.BackupResponse:
        # Whose caller has left goes on. Others do not wait: they would take the node's threads, and
        # those that looked at the folder at one time would not count each other.
        if not self._backing_up.acquire(blocking=False):
            raise RefusalError(
                NetworkCode.TOO_MANY_BACKUPS,
                "another backup is being written: wait until it is complete",
                field="path",
                limit="1",
            )
        try:
            return self._backup(wanted)
        finally:
            self._backing_up.release()

    def _backup(self, wanted: str) -> pb.BackupResponse:
        try:
            path = self._targets.find(wanted)
            height = self._chain.store.backup(path)
        except FileExistsError:
            raise already_exists(wanted) from None
        except (OSError, sqlite3.OperationalError) as error:
            raise bad_path(wanted, f"cannot be written: {error}") from error
        return pb.BackupResponse(height=height, size=path.stat().st_size)
