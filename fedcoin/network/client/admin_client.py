"""The client of a node's `AdminService`, at the operator's socket or over the network."""

from __future__ import annotations

from pathlib import Path

from fedcoin.network.client.chain_calls import Hash, hash_text
from fedcoin.network.client.channels import open_channel
from fedcoin.network.client.grpc_client import GrpcClient
from fedcoin.v1 import admin_service_pb2 as pb
from fedcoin.v1.admin_service_pb2_grpc import AdminServiceStub

BACKUP_S = 600.0
"""The deadline of a backup, in seconds: a large database takes minutes to copy."""


class AdminClient(GrpcClient):
    """Every call of a node's AdminService. Use it as an async context manager, or `close` it."""

    def __init__(self, target: str, *, timeout: float = 60.0) -> None:
        """Prepare calls to a node. Nothing is dialled before the first one.

        Args:
            target: The operator's socket, `unix:/path`; or `host:port` of an API that has an
                admin's token, which must then be in `metadata`.
            timeout: The deadline of a call, in seconds.
        """
        super().__init__(target, open_channel(target), timeout=timeout)
        self._admin = AdminServiceStub(self.channel)

    async def add_peer(self, address: str) -> str:
        """Have the node dial a peer and keep it in its address book.

        Args:
            address: The peer's `key@host:port`, or `host:port` to accept the key that answers.

        Returns:
            The peer's node key, 64 hex digits.

        Raises:
            RpcError: BAD_HOST when the address is malformed; PEER_UNREACHABLE when the peer does
                not answer; the code with which the handshake failed; or the call failed.
        """
        request = pb.AddPeerRequest(address=address)
        return (await self.call(self._admin.AddPeer, request)).node_key

    async def drop_peer(self, node_key: Hash) -> None:
        """Have the node disconnect a peer.

        Args:
            node_key: The peer's Ed25519 node key, 32 bytes or 64 hex digits.

        Raises:
            RpcError: PEER_NOT_CONNECTED when no peer has this key, or the call failed.
        """
        await self.call(self._admin.DropPeer, pb.DropPeerRequest(node_key=hash_text(node_key)))

    async def ban_host(self, host: str, seconds: int = 0) -> None:
        """Refuse all peers of a host for a time, and disconnect those that dialled the node.

        Args:
            host: An IP address; with IPv6, its /64 network is banned.
            seconds: How long, in seconds; 0 means an hour.

        Raises:
            RpcError: BAD_HOST when the host is not an IP address, or the call failed.
        """
        request = pb.BanPeerRequest(host=host, seconds=seconds)
        await self.call(self._admin.BanPeer, request)

    async def ban_peer(self, node_key: Hash, seconds: int = 0) -> None:
        """Have the node disconnect a peer and refuse it for a time.

        Args:
            node_key: The peer's Ed25519 node key, 32 bytes or 64 hex digits; it need not be
                connected.
            seconds: For how long, in seconds; 0 means an hour.

        Raises:
            RpcError: The call failed.
        """
        request = pb.BanPeerRequest(node_key=hash_text(node_key), seconds=seconds)
        await self.call(self._admin.BanPeer, request)

    async def set_log_level(self, level: str) -> None:
        """Change how much the node logs.

        Args:
            level: `debug`, `info`, `warning` or `error`.

        Raises:
            RpcError: BAD_LOG_LEVEL for any other word, or the call failed.
        """
        await self.call(self._admin.SetLogLevel, pb.SetLogLevelRequest(level=level))

    async def backup(self, path: Path) -> pb.BackupResponse:
        """Have the node copy its chain's database to a new file.

        Args:
            path: An absolute path on the node's machine; a file name where the node is reached over
                the network.

        Returns:
            The chain's height in the copy, and the file's size in bytes.

        Raises:
            RpcError: BAD_PATH when the path is not allowed or cannot be written; FILE_EXISTS when
                there is such a file; TOO_MANY_BACKUPS while another one is written, or over the
                network when there is no room; or the call failed.
        """
        request = pb.BackupRequest(path=str(path))
        return await self.call(self._admin.Backup, request, timeout=BACKUP_S)

    async def drain(self) -> int:
        """Have the miner finish what it has committed to; then the node stops. May be repeated.

        Returns:
            How many commitments and transactions are still to be finished; 0 when the node is
            about to stop.

        Raises:
            RpcError: The call failed.
        """
        return (await self.call(self._admin.Drain, pb.DrainRequest())).at_stake

    async def stop(self) -> None:
        """Ask the node to stop cleanly. Returns when the stop has begun.

        Raises:
            RpcError: The call failed.
        """
        await self.call(self._admin.Stop, pb.StopRequest())
