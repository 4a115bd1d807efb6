"""The parts of a devnet; `test_devnet_run.py` runs whole ones."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.devnet import plan as planning
from fedcoin.application.devnet.plan import FREE_RIDER, HONEST, MISLABELLED, Options, lay_out
from fedcoin.application.devnet.ports import free_ports
from fedcoin.application.devnet.processes import Processes, environment, tail
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training import datasets

OPTIONS = Options(miners=4, clients=5, rounds=3, dataset="digits", budget=300 * SAP_PER_FDC, seed=1)


def refused(code: object) -> pytest.RaisesExc[RefusalError]:
    return pytest.raises(RefusalError, check=lambda refusal: refusal.code is code)


def test_free_ports_differ_and_are_free() -> None:
    ports = free_ports(30)
    assert len(set(ports)) == 30
    for port in ports:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_a_plan_is_a_network(tmp_path: Path) -> None:
    plan = lay_out(OPTIONS, tmp_path)
    genesis = plan.miners[0].member.home.genesis()
    assert plan.supply == genesis.supply
    assert len({member.home.genesis().hash for member in plan.members}) == 1
    assert len(genesis.validators) == 4
    assert dict(genesis.accounts)[plan.coordinator.address] > OPTIONS.budget
    assert len({member.address for member in plan.members}) == 10
    for i, miner in enumerate(plan.miners):
        config = miner.member.home.config({})
        assert config.miner.enabled
        assert config.api.listen == miner.api
        assert len(config.peers.seeds) == i
    settings = plan.coordinator.home.config({}).coordinator
    assert (settings.rounds, settings.clients, settings.budget) == (3, 5, OPTIONS.budget)
    assert settings.listen == plan.server


def test_the_last_miners_are_dishonest_and_run_another_module(tmp_path: Path) -> None:
    options = replace(OPTIONS, adversaries=(("copier", 1), ("censor", 1)))
    members = [miner.member for miner in lay_out(options, tmp_path).miners]
    assert [member.arguments[0] for member in members] == ["start", "start", "copier", "censor"]
    assert [member.module for member in members] == [
        *["fedcoin.application.cli"] * 2,
        *["fedcoin.testing.dishonest"] * 2,
    ]


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 1), (7, 1), (16, 4)])
def test_miners_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, processes: int
) -> None:
    monkeypatch.setattr(planning, "cores", lambda: cores)
    for miner in lay_out(OPTIONS, tmp_path).miners:
        assert miner.member.home.config({}).miner.processes == processes


def test_clients_differ(tmp_path: Path) -> None:
    plan = lay_out(OPTIONS, tmp_path)
    assert [client.role for client in plan.clients].count(HONEST) == 3
    assert {client.role for client in plan.clients} == {HONEST, MISLABELLED, FREE_RIDER}
    assert len({client.samples for client in plan.clients}) > 3
    assert "--free-ride" in next(c for c in plan.clients if c.role == FREE_RIDER).member.arguments
    whole = datasets.load_dataset("digits")
    for i, client in enumerate(plan.clients):
        data = datasets.load_dataset(str(client.member.home.root / "data.npz"), need_test=False)
        honest = datasets.take_share(whole, 5, i, OPTIONS.seed)
        assert np.array_equal(data.x_train, honest.x_train)
        wrong = float(np.mean(data.y_train != honest.y_train))
        assert wrong == pytest.approx(0.6 if client.role == MISLABELLED else 0.0, abs=0.01)


def test_the_seed_fixes_all_but_the_time(tmp_path: Path) -> None:
    one, two = lay_out(OPTIONS, tmp_path / "1"), lay_out(OPTIONS, tmp_path / "2")
    assert [m.address for m in one.members] == [m.address for m in two.members]
    assert [c.samples for c in one.clients] == [c.samples for c in two.clients]


@pytest.mark.parametrize("clients", [1, 2, 3, 4, 5, 12, 128])
def test_roles(clients: int) -> None:
    roles = planning.roles(clients)
    assert len(roles) == clients
    assert roles[-1] == HONEST
    assert roles.count(MISLABELLED) == (clients >= 2)
    assert roles.count(FREE_RIDER) == (clients >= 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("miners", 0),
        ("miners", 1000),
        ("clients", 0),
        ("clients", 1000),
        ("rounds", 0),
        ("budget", 2),
    ],
)
def test_impossible_devnets(tmp_path: Path, name: str, value: int) -> None:
    given = {**{f: getattr(OPTIONS, f) for f in OPTIONS.__slots__}, name: value}
    with refused(ApplicationCode.BAD_ARGUMENT) as caught:
        lay_out(Options(**given), tmp_path)
    assert f"--{name}" in caught.value.message
    assert not any(tmp_path.iterdir())


def test_no_such_data(tmp_path: Path) -> None:
    given = {f: getattr(OPTIONS, f) for f in OPTIONS.__slots__}
    with refused(LearningCode.UNKNOWN_DATASET):
        lay_out(Options(**{**given, "dataset": "nonsense"}), tmp_path)


def test_processes_end_with_us(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("version", ["version"], lasting=False)
        asyncio.run(processes.wait("version", 60))
        processes.check()
        assert "protocol_version" in (tmp_path / "version.log").read_text()


def test_a_failed_process_is_told_with_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("broken", ["status", "--node", "127.0.0.1:1"], lasting=True)
        with refused(ApplicationCode.PROCESS_FAILED) as caught:
            asyncio.run(asyncio.wait_for(processes.watch(), 30))
    assert "broken failed with exit code 1" in caught.value.message
    assert "cannot be reached" in caught.value.message


def test_what_should_last_must_not_end(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("version", ["version"], lasting=True)
        with refused(ApplicationCode.PROCESS_FAILED) as caught:
            asyncio.run(asyncio.wait_for(processes.watch(), 30))
    assert "ended too early" in caught.value.message


def test_a_killed_process_is_told(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        # Waits for a passphrase on the standard input that we hold.
        processes.start(
            "waiting", ["keys", "new", "--encrypt", "--home", str(tmp_path)], lasting=False
        )
        os.kill(processes.pid("waiting"), signal.SIGKILL)
        with refused(ApplicationCode.PROCESS_FAILED) as caught:
            asyncio.run(asyncio.wait_for(processes.watch(), 30))
    assert "SIGKILL" in caught.value.message


def test_who_does_not_end_is_told(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        waiting = ["keys", "new", "--encrypt", "--home", str(tmp_path)]
        processes.start("waiting", waiting, lasting=False)
        with refused(ApplicationCode.PROCESS_FAILED) as caught:
            asyncio.run(processes.wait("waiting", 0.2))
    assert "waiting did not end in time" in caught.value.message


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("\n".join(f"line {i}" for i in range(100_000)))
    assert tail(log).splitlines()[-1].strip() == "line 99999"
    assert len(tail(log).splitlines()) == 15
    log.write_text("")
    assert "nothing" in tail(log)


def test_processes_see_no_settings_of_ours() -> None:
    inner = environment({"FEDCOIN_API_LISTEN": "x", "FEDCOIN_MNIST": "m", "PATH": "/bin"})
    assert "FEDCOIN_API_LISTEN" not in inner
    assert (inner["FEDCOIN_MNIST"], inner["PATH"]) == ("m", "/bin")
    assert inner["OMP_NUM_THREADS"] == "1"
