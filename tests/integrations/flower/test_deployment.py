"""Flower's deployment engine and a network of FedCoin nodes, all as real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")
pytest.importorskip("torch", reason="torch is not installed: make test-integrations has it")

from tests.support.flower_deployment import RUN_SECONDS
from tests.support.flower_federation import ROUNDS, Federation
from tests.support.programs import Stage
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CLIENTS = 2


async def test_clients_of_supernodes_are_paid(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        here = Federation(stage, CLIENTS)
        await here.start()
        run = here.run()
        assert await here.flower.ended(run) == "finished:completed", here.flower.said()
        assert (await here.on_chain()).last_round == ROUNDS
        assert min(await here.paid()) > 0
        here.network.finish()


async def test_a_killed_server_goes_on_without_a_client_that_is_gone(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        here = Federation(stage, CLIENTS)
        await here.start()
        run = here.run()
        await until(lambda: here.rounds_on_disk() >= 1, "a round is paid", seconds=RUN_SECONDS)
        here.flower.kill_server_app()
        assert await here.flower.ended(run) == "finished:failed"
        # Flower says so in the status alone.
        assert here.flower.streams(run) == 0
        before, done = await here.paid(), here.rounds_on_disk()
        here.flower.nodes[1].end()
        again = here.run(clients=1)
        assert await here.flower.ended(again) == "finished:completed", here.flower.said()
        assert (await here.on_chain()).last_round == ROUNDS
        after = await here.paid()
        assert after[1] == before[1]
        assert 1 <= done < ROUNDS
        here.network.finish()
