"""A coordinator whose campaign several people pay: it waits for them, and closes nothing itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.coordinator.campaign_end import command_to_close
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.key_policy_file import render_policy
from fedcoin.application.wallet.prepared_transaction import read_prepared
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.support.shared_accounts import MEMBERS, PURSE
from tests.support.training_site import SERVER, settings, site, started
from tests.support.transfers import transfer_to
from tests.support.waiting import LOADED_SECONDS, until


def test_the_command_that_closes_is_the_requesters() -> None:
    campaign_id, closes = b"\x2a" * 32, f"fedcoin-node task close {'2a' * 32}"
    assert command_to_close(campaign_id, "") == f"{closes} --key NAME"
    shared = command_to_close(campaign_id, "our purse.json")
    assert shared == f"{closes} --policy 'our purse.json' --prepare close.json"
    assert "--requester" not in shared


@pytest.mark.slow
@pytest.mark.usefixtures("inline_workers")
async def test_it_waits_for_signatures_and_leaves_the_end_to_them(tmp_path: Path) -> None:
    file = tmp_path / "purse.json"
    file.write_text(render_policy(PURSE))
    config = settings(join_seconds=0.5, requester=str(file))
    async with site(tmp_path) as here:
        pay = transfer_to((PURSE.address, config.budget + SAP_PER_FDC))
        await Wallet(here.client, SERVER, here.chain).execute(pay)
        async with started(await here.prepared(config)) as coordinator:
            running = asyncio.create_task(coordinator.run())
            name = "open-campaign.json"
            found = await until(lambda: [*tmp_path.rglob(name)], seconds=LOADED_SECONDS)
            prepared = read_prepared(found[0])
            assert prepared.body.open_campaign.server == SERVER.address
            signed = prepared.sign(MEMBERS[0]).sign(MEMBERS[1]).assemble()
            await here.client.submit_transaction(signed.raw)
            with pytest.raises(RefusalError) as caught:
                await asyncio.wait_for(running, LOADED_SECONDS)
            assert caught.value.code is ApplicationCode.GAVE_UP
            close = f"task close {signed.hash.hex()} --policy {file} --prepare close.json"
            assert f"fedcoin-node {close}" in caught.value.message
            campaign = await here.client.get_campaign(signed.hash)
            assert not campaign.closed
            assert campaign.requester == format_address(PURSE.address)
            assert coordinator.campaign.campaign_id == signed.hash
