from __future__ import annotations

import socket

from fedcoin.application.devnet.free_ports import find_free_ports


def test_free_ports_differ_and_are_free() -> None:
    ports = find_free_ports(30)
    assert len(set(ports)) == 30
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
