from __future__ import annotations

import socket

import pytest

from fedcoin.application.devnet import free_ports
from fedcoin.application.devnet.free_ports import find_free_ports
from fedcoin.application.errors import ApplicationCode
from tests.application.devnet.conftest import refused


def test_free_ports_differ_and_are_free() -> None:
    ports = find_free_ports(30)
    assert len(set(ports)) == 30
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_too_few_free_ports_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_ports, "MAX_TRIES", 2)
    with refused(ApplicationCode.PORT_IN_USE):
        find_free_ports(3)
