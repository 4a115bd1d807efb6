"""A campaign's file survives restarts, and broken files are refused."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase, EvaluationShard
from fedcoin.application.coordinator.campaign_file import (
    CampaignFile,
    campaign_from_json,
    campaign_to_json,
)
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.v1.task_pb2 import ClientUpdate
from tests.support.genesis import GENESIS_HASH

KEYS = [KeyPair.from_seed(bytes([number]) * 32) for number in range(1, 5)]
hashes = st.binary(min_size=32, max_size=32)

results = st.builds(
    ClientOutcome,
    st.binary(min_size=20, max_size=20),
    st.integers(1, 10**9),
    st.integers(-(10**9), 10**9),
    st.integers(0, 2**63 - 1),
    st.sampled_from(["", "Praxis Süd"]),
)
records = st.builds(
    RoundRecord,
    st.integers(1, 10_000),
    hashes,
    st.booleans(),
    st.booleans(),
    st.integers(0, 10**7),
    st.integers(1, 10**7),
    st.lists(results, max_size=3).map(tuple),
)


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    campaign = Campaign(
        chain_id="chain",
        genesis_hash=GENESIS_HASH,
        rounds=draw(st.integers(1, 10_000)),
        max_clients=4,
        model=draw(hashes),
        base=draw(hashes),
        initial=draw(hashes),
        campaign_id=draw(st.just(b"") | hashes),
        shards=tuple(
            draw(st.lists(st.builds(EvaluationShard, hashes, st.integers(1, 99)), min_size=1))
        ),
        deadline_ms=draw(st.integers(0, 2**62)),
        aggregate=draw(st.just(b"") | hashes),
        pending=draw(st.binary(max_size=99)),
        history=draw(st.lists(records, max_size=3)),
    )
    for key in KEYS[: draw(st.integers(0, 4))]:
        address = campaign.register(key.public_key)
        campaign.clients[address].missed = draw(st.booleans())
        if draw(st.booleans()):
            message = ClientUpdate(
                campaign_id=b"c" * 32,
                round=1,
                base=campaign.base,
                update=draw(hashes),
                num_samples=3,
                address=address,
            )
            envelope = sign_update(message, key, GENESIS_HASH)
            campaign.announced[address] = decode_update(envelope, GENESIS_HASH)
            if draw(st.booleans()):
                campaign.updates[address] = campaign.announced[address]
    listed = st.lists(st.builds(ListedClient, hashes, st.integers(1, 99)), max_size=2)
    campaign.listed = tuple(draw(listed))
    campaign.phase = draw(st.sampled_from(CampaignPhase))
    for record in campaign.history:
        campaign.harm.add(record)
    return campaign


@given(campaigns())
def test_a_campaign_survives(campaign: Campaign) -> None:
    assert campaign_from_json(json.loads(json.dumps(campaign_to_json(campaign)))) == campaign


async def test_saves_are_whole_and_in_order(tmp_path: Path) -> None:
    file = CampaignFile(tmp_path / "state.json")
    assert await file.load() is None
    campaign = Campaign(
        "chain", GENESIS_HASH, 3, 4, b"m" * 32, b"b" * 32, (EvaluationShard(b"e" * 32, 9),)
    )
    saves = []
    for number in range(1, 20):
        campaign.round = number
        saves.append(asyncio.create_task(file.save(campaign)))
        await asyncio.sleep(0)
    await asyncio.gather(*saves)
    assert await file.load() == campaign
    assert os.listdir(tmp_path) == ["state.json"]


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"null", b"{}", b'{"version": 1}', b"[1]"])
async def test_what_is_no_state_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(raw)
    with pytest.raises(RefusalError) as caught:
        await CampaignFile(path).load()
    assert caught.value.code is ApplicationCode.BAD_STATE
    assert str(path) in caught.value.message


async def test_a_forged_update_in_a_state_is_refused(tmp_path: Path) -> None:
    campaign = Campaign(
        "chain", GENESIS_HASH, 3, 4, b"m" * 32, b"b" * 32, (EvaluationShard(b"e" * 32, 9),)
    )
    content = {**campaign_to_json(campaign), "updates": ["00ff"]}
    (tmp_path / "state.json").write_text(json.dumps(content))
    with pytest.raises(RefusalError) as caught:
        await CampaignFile(tmp_path / "state.json").load()
    assert caught.value.code is ApplicationCode.BAD_STATE
