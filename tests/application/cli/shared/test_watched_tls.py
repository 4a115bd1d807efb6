"""`--watch` while the TLS files are replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import grpc
import pytest

from fedcoin.application.cli.entry import run
from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.configuration.home import Home
from fedcoin.network.peer_options import Tls
from fedcoin.network.peers.connections.tls_files import TlsFiles
from fedcoin.v1.node_service_pb2 import GetStatusResponse
from tests.support.certificates import issue, make_authority


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return issue(make_authority(tmp_path / "tls"), "node", "IP:127.0.0.1")


@pytest.fixture
def target(tls: Tls) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    get_status: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        lambda request, context: GetStatusResponse(height=7).SerializeToString()
    )
    handlers = {"GetStatus": get_status}
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("fedcoin.v1.NodeService", handlers),)
    )
    port = server.add_secure_port("127.0.0.1:0", TlsFiles(tls).server_credentials())
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def home(tmp_path: Path, tls: Tls) -> Home:
    home = Home(tmp_path / "home")
    home.root.mkdir()
    own = Tls(*(tmp_path / name for name in ("own.pem", "own.key", "own.ca")))
    own.certificate.write_bytes(tls.certificate.read_bytes())
    own.key.write_bytes(tls.key.read_bytes())
    own.authority.write_bytes(tls.authority.read_bytes())
    home.config_path.write_text(
        f'[tls]\ncertificate = "{own.certificate}"\nprivate_key = "{own.key}"\n'
        f'authority = "{own.authority}"\n'
    )
    return home


def show_command(home: Home, target: str) -> click.Command:
    @click.command()
    @watch_option
    def show() -> None:
        click.echo(str(ask(home, target, lambda client: client.get_status()).height))

    return show


def test_it_goes_on_while_a_file_is_half_written(
    home: Home,
    target: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    certificate = tmp_path / "own.pem"
    whole = certificate.read_bytes()
    contents = iter([whole[: len(whole) // 2], whole])

    def change(seconds: float) -> None:
        try:
            certificate.write_bytes(next(contents))
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(time, "sleep", change)
    assert run(["--watch", "1"], show_command(home, target)) == 0
    assert capsys.readouterr().out == "7\n7\n7\n"


def test_files_that_are_bad_from_the_start_end_it(
    home: Home, target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.pem").write_text("half")
    assert run(["--watch", "1"], show_command(home, target)) == 1
    assert "[BAD_TLS_FILES]" in capsys.readouterr().err
