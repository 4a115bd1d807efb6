from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.configuration.hosted_clients import read_hosted_clients
from fedcoin.application.devnet import home_folders
from fedcoin.application.devnet.home_folders import create_devnet
from fedcoin.application.devnet.plan import (
    FREE_RIDER,
    HONEST,
    MAX_OWN_PROCESSES,
    MISLABELLED,
    DevnetOptions,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training import datasets, partitions
from fedcoin.learning.training.partition_spec import parse_partition
from tests.application.devnet.conftest import refused

OPTIONS = DevnetOptions(
    miners=4, clients=5, rounds=3, dataset="digits", budget=300 * SAP_PER_FDC, seed=1
)


def test_homes_make_one_network(tmp_path: Path) -> None:
    plan = create_devnet(OPTIONS, tmp_path)
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
    members = [miner.member for miner in create_devnet(options, tmp_path).miners]
    assert [member.program.arguments[0] for member in members] == [
        "start",
        "start",
        "copier",
        "censor",
    ]
    assert [member.program.module for member in members] == [
        *["fedcoin.application.cli"] * 2,
        *["fedcoin.testing.dishonest"] * 2,
    ]


@pytest.mark.parametrize(("cores", "processes"), [(1, 1), (2, 1), (7, 1), (16, 4)])
def test_miners_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, processes: int
) -> None:
    monkeypatch.setattr(home_folders, "count_usable_cpus", lambda: cores)
    for miner in create_devnet(OPTIONS, tmp_path).miners:
        assert miner.member.home.config({}).miner.processes == processes


def test_clients_have_roles_and_shares(tmp_path: Path) -> None:
    plan = create_devnet(OPTIONS, tmp_path)
    assert [client.role for client in plan.clients].count(HONEST) == 3
    assert {client.role for client in plan.clients} == {HONEST, MISLABELLED, FREE_RIDER}
    assert len({client.samples for client in plan.clients}) > 3
    assert (
        "--free-ride"
        in next(c for c in plan.clients if c.role == FREE_RIDER).member.program.arguments
    )
    whole = datasets.load_dataset("digits")
    for i, client in enumerate(plan.clients):
        data = datasets.load_dataset(str(client.member.home.root / "data.npz"), need_test=False)
        honest = partitions.take_share(whole, 5, i, OPTIONS.seed)
        assert np.array_equal(data.x_train, honest.x_train)
        wrong = float(np.mean(data.y_train != honest.y_train))
        assert wrong == pytest.approx(0.6 if client.role == MISLABELLED else 0.0, abs=0.01)


def test_clients_of_a_partition_are_honest(tmp_path: Path) -> None:
    partition = parse_partition("labels:2+feature-noise:0..0.1")
    plan = create_devnet(replace(OPTIONS, partition=partition), tmp_path)
    assert {client.role for client in plan.clients} == {HONEST}
    whole = datasets.load_dataset("digits")
    for i, client in enumerate(plan.clients):
        data = datasets.load_dataset(str(client.member.home.root / "data.npz"), need_test=False)
        expected = partitions.take_share(whole, 5, i, OPTIONS.seed, partition)
        assert np.array_equal(data.x_train, expected.x_train)
        assert np.array_equal(data.y_train, expected.y_train)
        assert client.samples == len(data.y_train)


def test_many_clients_share_one_process(tmp_path: Path) -> None:
    few = create_devnet(OPTIONS, tmp_path / "few")
    assert len(few.training_programs) == 6
    plan = create_devnet(replace(OPTIONS, training_processes=3), tmp_path / "asked")
    (coordinator, host) = plan.training_programs
    assert coordinator == plan.coordinator.program
    assert {client.member.program for client in plan.clients} == {host}
    assert host.arguments[host.arguments.index("--processes") + 1] == "3"
    hosted = read_hosted_clients(Path(host.arguments[2]))
    assert [client.home for client in hosted] == [c.member.home.root for c in plan.clients]
    assert all(client.data.is_file() for client in hosted)
    riders = [client.role == FREE_RIDER for client in plan.clients]
    assert [client.is_free_rider for client in hosted] == riders
    many = create_devnet(replace(OPTIONS, clients=MAX_OWN_PROCESSES + 1), tmp_path / "many")
    assert len(many.training_programs) == 2


def test_further_settings_of_the_coordinator(tmp_path: Path) -> None:
    more = (("coordinator.averaging", "renormalised"), ("coordinator.clients", 4))
    plan = create_devnet(replace(OPTIONS, coordinator_settings=more), tmp_path)
    settings = plan.coordinator.home.config({}).coordinator
    assert (settings.averaging, settings.clients) == ("renormalised", 4)


def test_the_seed_fixes_all_but_the_time(tmp_path: Path) -> None:
    one, two = create_devnet(OPTIONS, tmp_path / "1"), create_devnet(OPTIONS, tmp_path / "2")
    assert [m.address for m in one.members] == [m.address for m in two.members]
    assert [c.samples for c in one.clients] == [c.samples for c in two.clients]


def test_an_unknown_data_set_is_refused(tmp_path: Path) -> None:
    with refused(LearningCode.UNKNOWN_DATASET):
        create_devnet(replace(OPTIONS, dataset="nonsense"), tmp_path)


def test_nothing_is_written_for_an_impossible_devnet(tmp_path: Path) -> None:
    with refused(ApplicationCode.BAD_ARGUMENT):
        create_devnet(replace(OPTIONS, miners=0), tmp_path)
    assert not any(tmp_path.iterdir())


def test_an_evaluation_set_that_is_too_large_is_refused_first(tmp_path: Path) -> None:
    size = len(datasets.load_dataset(OPTIONS.dataset).y_test)
    with refused(ApplicationCode.BAD_ARGUMENT) as caught:
        create_devnet(replace(OPTIONS, evaluation_size=size + 1), tmp_path)
    assert (
        caught.value.message == f"--evaluation-size is {size + 1}, but it must be from 0 to {size}"
    )
    assert not any(tmp_path.iterdir())
    replace(OPTIONS, evaluation_size=size).check_evaluation(size)
