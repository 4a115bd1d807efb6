"""A campaign on disk, as JSON: hashes and keys in hex, written whole or not at all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from fedcoin.application.coordinator.campaign import (
    Campaign,
    ClientOutcome,
    EvaluationShard,
    Phase,
    RegisteredClient,
    RoundRecord,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.updates import decode_update
from fedcoin.v1.task_pb2 import SignedUpdate

VERSION = 1
_HASHES = ("model", "initial", "base", "campaign_id", "aggregate", "pending")
_PLAIN = ("chain_id", "rounds", "max_clients", "round", "deadline_ms", "right_answers")


class CampaignFile:
    """Reads and writes one campaign; saves are made one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()

    async def load(self) -> Campaign | None:
        """The campaign, or None when there is no file. Raises Refusal BAD_STATE."""
        try:
            raw = await asyncio.to_thread(self._path.read_bytes)
        except FileNotFoundError:
            return None
        try:
            return from_json(json.loads(raw))
        except (ValueError, KeyError, TypeError, AttributeError, RefusalError) as error:
            raise RefusalError(
                ApplicationCode.BAD_STATE,
                f"{self._path} is not a campaign's state ({error}); restore it, or move it away "
                "to begin a new campaign",
                field="state",
            ) from error

    async def save(self, campaign: Campaign) -> None:
        """Write the campaign as it is now; returns once it is on the disk."""
        content = json.dumps(to_json(campaign), indent=1).encode()
        async with self._lock:
            await asyncio.to_thread(replace_file, self._path, content)


def to_json(campaign: Campaign) -> dict[str, Any]:
    """All of a campaign in JSON's own types."""
    return {
        "version": VERSION,
        **{name: getattr(campaign, name) for name in _PLAIN},
        **{name: getattr(campaign, name).hex() for name in _HASHES},
        "phase": campaign.phase.value,
        "shards": [[shard.artifact.hex(), shard.size] for shard in campaign.shards],
        "clients": [[c.public_key.hex(), c.missed] for c in campaign.clients.values()],
        "updates": [
            update.envelope.SerializeToString().hex() for update in campaign.updates.values()
        ],
        "history": [_record_json(record) for record in campaign.history],
    }


def from_json(content: dict[str, Any]) -> Campaign:
    """The campaign again. Raises ValueError, KeyError, TypeError, Refusal when it is none."""
    if content["version"] != VERSION:
        raise ValueError(f"version {content['version']} is not {VERSION}")
    fields: dict[str, Any] = {name: bytes.fromhex(content[name]) for name in _HASHES}
    fields.update({name: content[name] for name in _PLAIN})
    if not all(isinstance(fields[name], int) for name in _PLAIN if name != "chain_id"):
        raise TypeError("a number is none")
    campaign = Campaign(
        **fields,
        phase=Phase(content["phase"]),
        shards=tuple(EvaluationShard(bytes.fromhex(id), size) for id, size in content["shards"]),
        history=[_record(record) for record in content["history"]],
    )
    if not campaign.shards:
        raise ValueError("there are no shards")
    for public_key, missed in content["clients"]:
        client = RegisteredClient(bytes.fromhex(public_key), missed)
        campaign.clients[derive_address(client.public_key)] = client
    for raw in content["updates"]:
        envelope = canonical.decode(SignedUpdate, bytes.fromhex(raw))
        update = decode_update(envelope, campaign.chain_id)
        campaign.updates[update.address] = update
    return campaign


def _record_json(record: RoundRecord) -> dict[str, Any]:
    return {
        "round": record.round,
        "task_id": record.task_id.hex(),
        "settled": record.settled,
        "right_answers": record.right_answers,
        "evaluation_size": record.evaluation_size,
        "clients": [
            [c.address.hex(), c.num_samples, c.shapley_nano, c.payout] for c in record.clients
        ],
    }


def _record(content: dict[str, Any]) -> RoundRecord:
    clients = [
        ClientOutcome(bytes.fromhex(address), samples, value, payout)
        for address, samples, value, payout in content["clients"]
    ]
    return RoundRecord(
        round=content["round"],
        task_id=bytes.fromhex(content["task_id"]),
        settled=content["settled"],
        right_answers=content["right_answers"],
        evaluation_size=content["evaluation_size"],
        clients=tuple(clients),
    )
