"""Tasks of private campaigns are judged by nodes that may have their artifacts, from the room."""

from __future__ import annotations

import pytest

from fedcoin.application.node.block_auditor import ObserverAudit
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.client_list import ListedClient, build_admission, build_client_list
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.task_pb2 import ReaderList
from tests.support.keys import STRANGER
from tests.support.mining_site import MiningSite, OpenMiningSite

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def private_task(here: MiningSite) -> Transaction:
    """Open a private campaign, and sign its task."""
    job = here.job
    listed = [ListedClient(key.address, 1_000) for key in job.keys]
    terms = job.campaign()
    terms.clients.CopyFrom(build_client_list(listed))
    terms.readers.CopyFrom(ReaderList())
    job.campaign_id = (await here.chain.submit(job.requester, terms)).hash
    await here.chain.produce()
    admissions = [build_admission(listed, key.address) for key in job.keys]
    return here.chain.sign(job.server, job.terms(admissions=admissions))


async def test_an_observer_passes_what_it_may_not_have(site: OpenMiningSite) -> None:
    here = site()
    opening = await private_task(here)
    await ObserverAudit(here.auditor, STRANGER.address).check_transaction(opening)
    assert not here.fetched
    assert not here.worker.checked
    # One that may fetch the artifacts tries to, whatever it holds for everybody.
    with pytest.raises(RefusalError) as refused:
        await ObserverAudit(here.auditor, here.job.server.address).check_transaction(opening)
    assert refused.value.code is DataCode.UNKNOWN_ARTIFACT
    assert here.fetched


async def test_a_node_judges_by_what_it_holds_for_the_campaign(site: OpenMiningSite) -> None:
    here = site()
    opening = await private_task(here)
    for id in here.store.ids():
        here.store.room(here.job.campaign_id).put(here.store.read(id))
        here.store.remove(id)
    await ObserverAudit(here.auditor, STRANGER.address).check_transaction(opening)
    assert here.worker.checked == 1
    assert not here.fetched
