from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from fedcoin.application.cli.queries.api import api
from fedcoin.network.api.descriptors import describe_services

BUF = Path(sys.executable).with_name("buf")


def test_the_descriptors_in_a_file_are_what_buf_reads(fedcoin: Any, tmp_path: Path) -> None:
    file = tmp_path / "fedcoin.binpb"
    file.write_text("an older one")
    done = fedcoin("api", "descriptor", "--out", file)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert FileDescriptorSet.FromString(file.read_bytes()) == describe_services()
    listed = subprocess.run(
        [str(BUF), "ls-files", str(file), "--include-imports"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "fedcoin/v1/node_service.proto" in listed.stdout
    assert "grpc_reflection/v1/reflection.proto" in listed.stdout


def test_without_a_file_they_go_to_standard_output() -> None:
    done = CliRunner().invoke(api, ["descriptor"])
    assert done.exit_code == 0
    assert FileDescriptorSet.FromString(done.stdout_bytes) == describe_services()


def test_a_terminal_gets_no_binary(fedcoin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    done = fedcoin("api", "descriptor")
    assert (done.code, done.out) == (2, "")
    assert "give --out FILE" in done.err
