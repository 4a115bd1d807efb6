"""The file that holds a campaign's state, as JSON with hashes and keys in hex.

A save replaces the whole file atomically, so a crash leaves the last complete state.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedcoin.application.coordinator.campaign import (
    Campaign,
    CampaignPhase,
    EvaluationShard,
    RegisteredClient,
)
from fedcoin.application.coordinator.round_record import ClientOutcome, RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.client_list import ListedClient
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.v1.task_pb2 import SignedUpdate

_VERSION = 5
_HEX_FIELDS = (
    "genesis_hash",
    "model",
    "initial",
    "frozen",
    "base",
    "campaign_id",
    "aggregate",
    "pending",
)
_PLAIN_FIELDS = ("chain_id", "rounds", "max_clients", "round", "deadline_ms", "utility")


class CampaignFile:
    """Reads and writes one campaign's state; concurrent saves happen one after the other.

    Args:
        path: The file; `save` creates it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        """The file."""
        self._lock = asyncio.Lock()

    async def load(self) -> Campaign | None:
        """Read the campaign.

        Returns:
            The campaign, or None when there is no file.

        Raises:
            RefusalError: BAD_STATE when the file is not a campaign's state.
        """
        try:
            raw = await asyncio.to_thread(self.path.read_bytes)
        except FileNotFoundError:
            return None
        try:
            return campaign_from_json(json.loads(raw))
        except (ValueError, KeyError, TypeError, AttributeError, RefusalError) as error:
            raise RefusalError(
                ApplicationCode.BAD_STATE,
                f"{self.path} is not the state of a campaign ({error}); restore it, or move it "
                "away to begin a new campaign",
                field="state",
            ) from error

    async def save(self, campaign: Campaign) -> None:
        """Write the campaign as it is at this moment. Returns once it is on the disk.

        Args:
            campaign: The whole state to write.
        """
        content = json.dumps(campaign_to_json(campaign), indent=1).encode()
        async with self._lock:
            await asyncio.to_thread(replace_file, self.path, content)


def campaign_to_json(campaign: Campaign) -> dict[str, Any]:
    """Convert a campaign to JSON's types.

    Args:
        campaign: The whole state of a campaign.

    Returns:
        A dictionary that `campaign_from_json` reads.
    """
    return {
        "version": _VERSION,
        **{name: getattr(campaign, name) for name in _PLAIN_FIELDS},
        **{name: getattr(campaign, name).hex() for name in _HEX_FIELDS},
        "phase": campaign.phase.value,
        "settings": campaign.settings,
        "other_settings": campaign.other_settings,
        "shards": [[shard.artifact.hex(), shard.size] for shard in campaign.shards],
        "clients": [[c.public_key.hex(), c.missed] for c in campaign.clients.values()],
        "listed": [[c.address.hex(), c.max_samples] for c in campaign.listed],
        "announced": _updates_to_json(campaign.announced),
        "updates": _updates_to_json(campaign.updates),
        "history": [_record_to_json(record) for record in campaign.history],
    }


def campaign_from_json(content: dict[str, Any]) -> Campaign:
    """Convert what `campaign_to_json` returned to a campaign; checks the updates' signatures.

    Args:
        content: The parsed JSON.

    Returns:
        The campaign as it was saved.

    Raises:
        ValueError: A value has the right type but is invalid.
        KeyError: A field is missing.
        TypeError: A value has another type.
        RefusalError: MALFORMED, TOO_LARGE, BAD_ADDRESS or BAD_SIGNATURE when an update or its
            signature is invalid.
    """
    if content["version"] != _VERSION:
        raise ValueError(f"version {content['version']} is not {_VERSION}")
    fields: dict[str, Any] = {name: bytes.fromhex(content[name]) for name in _HEX_FIELDS}
    fields.update({name: content[name] for name in _PLAIN_FIELDS})
    for name in _PLAIN_FIELDS:
        if name != "chain_id" and not isinstance(fields[name], int):
            raise TypeError(f"{name} is not an integer")
    campaign = Campaign(
        **fields,
        phase=CampaignPhase(content["phase"]),
        settings={str(name): str(value) for name, value in content["settings"].items()},
        other_settings={str(k): str(value) for k, value in content["other_settings"].items()},
        shards=tuple(
            EvaluationShard(bytes.fromhex(artifact), size) for artifact, size in content["shards"]
        ),
        history=[_record_from_json(record) for record in content["history"]],
    )
    for record in campaign.history:
        campaign.harm.add(record)
    if not campaign.shards:
        raise ValueError("there are no shards")
    campaign.listed = tuple(
        ListedClient(bytes.fromhex(address), int(most)) for address, most in content["listed"]
    )
    for public_key, missed in content["clients"]:
        client = RegisteredClient(bytes.fromhex(public_key), missed)
        campaign.clients[derive_address(client.public_key)] = client
    campaign.announced = _updates_from_json(content["announced"], campaign.genesis_hash)
    campaign.updates = _updates_from_json(content["updates"], campaign.genesis_hash)
    return campaign


def _updates_to_json(updates: Mapping[bytes, Update]) -> list[str]:
    return [update.envelope.SerializeToString().hex() for update in updates.values()]


def _updates_from_json(content: list[str], genesis_hash: bytes) -> dict[bytes, Update]:
    envelopes = (canonical.decode(SignedUpdate, bytes.fromhex(raw)) for raw in content)
    updates = (decode_update(envelope, genesis_hash) for envelope in envelopes)
    return {update.address: update for update in updates}


def _record_to_json(record: RoundRecord) -> dict[str, Any]:
    return {
        "round": record.round,
        "task_id": record.task_id.hex(),
        "settled": record.settled,
        "adopted": record.adopted,
        "utility": record.utility,
        "measure": record.measure,
        "evaluation_size": record.evaluation_size,
        "clients": [
            [c.address.hex(), c.num_samples, c.shapley_nano, c.payout, c.name]
            for c in record.clients
        ],
        "announced": [address.hex() for address in record.announced],
    }


def _record_from_json(content: dict[str, Any]) -> RoundRecord:
    clients = [
        ClientOutcome(bytes.fromhex(address), num_samples, shapley_nano, payout, name)
        for address, num_samples, shapley_nano, payout, name in content["clients"]
    ]
    return RoundRecord(
        round=content["round"],
        task_id=bytes.fromhex(content["task_id"]),
        settled=content["settled"],
        adopted=content["adopted"],
        utility=content["utility"],
        measure=content["measure"],
        evaluation_size=content["evaluation_size"],
        clients=tuple(clients),
        announced=tuple(bytes.fromhex(address) for address in content["announced"]),
    )
