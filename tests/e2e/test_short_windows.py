"""Tasks with the shortest windows that a network allows, mined by real nodes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.block_pb2 import PAYMENT_KIND_DEPOSIT_BURNED
from tests.conftest import ReportAttack
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, BRISK, Network, serving

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("windows"), [BOND] * 4, BRISK) as network:
        yield network


async def test_a_requester_burns_no_honest_deposit_by_short_windows(
    network: Network, report_attack: ReportAttack
) -> None:
    parameters = network.nodes[0].home.genesis().parameters
    async with network.nodes[0].client() as client:
        campaign = Campaign(client, network.chain, Round(3))
        await campaign.upload()
        await campaign.open()
        with pytest.raises(RpcError) as caught:
            await campaign.open_task(reveal_window_ms=100)
        assert (caught.value.code, caught.value.limit) == ("BAD_WINDOW", "2000 to 86400000")
        task_id = await campaign.open_task(reveal_window_ms=parameters.min_window_ms)
        view = await reached(client, task_id, "SETTLED")
        check_paid(view)
        payments = await client.list_payments(task_id)
        assert len([miner for miner in view.miners if miner.revealed]) == 4
        assert PAYMENT_KIND_DEPOSIT_BURNED not in {payment.kind for payment in payments}
    report_attack(
        "windows of 100 ms, in which miners on a busy machine cannot answer",
        "1 of 16 honest deposits burned",
        "`BAD_WINDOW` below 2 s (`min_window_ms`), in which all of them answered",
    )
