"""What a caller is told when a TLS handshake fails, with gRPC's real messages."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fedcoin.application.certificates import authority as ca
from fedcoin.application.certificates.authority import Authority, Lifetime
from fedcoin.network.client.rpc_error import rpc_error_of
from fedcoin.network.peer_options import Tls
from fedcoin.network.peers.connections.tls_files import TlsFiles

NOW = datetime.now(timezone.utc)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tls]:
    """Return files by what is wrong with them."""
    folder = tmp_path_factory.mktemp("tls")
    own, other = (ca.make_authority(name, Lifetime(NOW, 365)) for name in ("own", "other"))
    past = ca.make_authority("own", Lifetime(NOW - timedelta(days=40), 365))
    own = Authority(past.certificate, past.key)
    starts = {"good": (own, 0), "expired": (own, -30), "early": (own, 3), "stranger": (other, 0)}
    return {
        name: write(folder, name, signer, NOW + timedelta(days=start))
        for name, (signer, start) in starts.items()
    }


def write(folder: Path, name: str, signer: Authority, start: datetime) -> Tls:
    key = ec.generate_private_key(ec.SECP256R1())
    request = ca.make_request(name, ["localhost", "127.0.0.1"], key)
    signed = ca.sign_request(signer, request, Lifetime(start, 10))
    tls = Tls(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}.ca")
    tls.certificate.write_bytes(ca.encode_certificate(signed))
    tls.key.write_bytes(ca.encode_key(key, None))
    tls.authority.write_bytes(ca.encode_certificate(signer.certificate))
    return tls


@pytest.mark.parametrize(
    ("server", "caller", "words"),
    [
        ("expired", "good", "its TLS certificate has expired ("),
        ("early", "good", "its TLS certificate is not valid yet: compare the clocks ("),
        ("stranger", "good", "signed by another authority than the one that this side trusts ("),
        ("good", "expired", "it closed the connection; with TLS also when it refuses this side's"),
        ("", "good", "it answers without TLS, and this side expects TLS ("),
        ("good", "", "it closed the connection; with TLS"),
    ],
)
async def test_a_failed_handshake_is_explained(
    files: dict[str, Tls], server: str, caller: str, words: str
) -> None:
    listener = grpc.aio.server()
    if server:
        credentials = TlsFiles(files[server]).server_credentials()
        port = listener.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = listener.add_insecure_port("127.0.0.1:0")
    await listener.start()
    target = f"127.0.0.1:{port}"
    channel = (
        grpc.aio.secure_channel(target, TlsFiles(files[caller]).channel_credentials())
        if caller
        else grpc.aio.insecure_channel(target)
    )
    try:
        call: Any = channel.unary_unary("/a.B/C")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", timeout=20)
    finally:
        await channel.close()
        await listener.stop(None)
    assert words in rpc_error_of(caught.value, target).message
