"""What a client signs, and when it signs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.crypto.key_files import save_key
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.updates import decode_update
from fedcoin.integrations.flower import SigningMod, context_genesis, context_key
from fedcoin.integrations.flower.round_terms import RECORD, RoundTerms, take_update
from fedcoin.integrations.flower.tensor_layout import TensorLayout
from tests.support.flower_grid import LocalGrid
from tests.support.keys import key_of

KEY = key_of("client")
GENESIS = bytes(range(32))
LAYOUT = TensorLayout(("w",), ("w",))
BASE = ArrayRecord({"w": Array(np.zeros(3, np.float32))})


def terms(base: ArrayRecord = BASE) -> RoundTerms:
    return RoundTerms(b"c" * 32, 2, compute_artifact_id(LAYOUT.encode(base)), LAYOUT)


def message(record: ConfigRecord | None) -> Message:
    LocalGrid({})  # Gives this process a run.
    content = {"arrays": BASE, "config": ConfigRecord({"lr": 0.1})}
    if record is not None:
        content[RECORD] = record
    return Message(RecordDict(content), message_type="train", dst_node_id=3)


def context(**config: str) -> Context:
    return Context(0, 3, config, RecordDict(), {})


def train(received: Message, context: Context) -> Message:
    assert RECORD not in received.content
    arrays = ArrayRecord({"w": Array(received.content["arrays"]["w"].numpy() + 1)})
    metrics = MetricRecord({"num-examples": 12})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=received)


def test_the_signature_names_what_came_and_what_leaves() -> None:
    reply = SigningMod(KEY, GENESIS)(message(terms().to_record()), context(), train)
    update = decode_update(take_update(reply.content), GENESIS)
    assert (update.campaign_id, update.round, update.num_samples) == (b"c" * 32, 2, 12)
    assert update.address == KEY.address
    assert update.base == terms().base
    assert update.update == compute_artifact_id(LAYOUT.encode(reply.content["arrays"]))
    assert set(reply.content) == {"arrays", "metrics"}


def test_a_name_of_the_nodes_config_is_signed() -> None:
    named = context(**{"fedcoin-name": "Praxis Süd"})
    reply = SigningMod(KEY, GENESIS)(message(terms().to_record()), named, train)
    assert decode_update(take_update(reply.content), GENESIS).name == "Praxis Süd"
    named = context(**{"fedcoin-name": "x" * 49})
    with pytest.raises(RefusalError, match="fedcoin-name has 49 bytes"):
        SigningMod(KEY, GENESIS)(message(terms().to_record()), named, train)


def test_a_server_that_pays_nothing_gets_what_the_app_sends() -> None:
    reply = SigningMod(KEY, GENESIS)(message(None), context(), train)
    assert set(reply.content) == {"arrays", "metrics"}


def test_nothing_is_trained_or_signed_for_other_arrays_than_the_servers() -> None:
    other = ArrayRecord({"w": Array(np.ones(3, np.float32))})

    def never(*arguments: Any) -> Any:
        raise AssertionError("trained")

    with pytest.raises(RefusalError) as caught:
        SigningMod(KEY, GENESIS)(message(terms(other).to_record()), context(), never)
    assert caught.value.code is ApplicationCode.WRONG_BASE


@pytest.mark.parametrize(
    "change",
    [{"keys": ["w", "v"]}, {"keys": [], "names": []}, {"round": "two"}, {"base": 1.5}],
)
def test_malformed_terms_are_refused(change: dict[str, Any]) -> None:
    record = ConfigRecord({**terms().to_record(), **change})
    with pytest.raises(RefusalError) as caught:
        SigningMod(KEY, GENESIS)(message(record), context(), train)
    assert caught.value.code is DataCode.MALFORMED


def test_terms_without_a_field_are_refused() -> None:
    record = terms().to_record()
    del record["base"]
    with pytest.raises(RefusalError) as caught:
        SigningMod(KEY, GENESIS)(message(record), context(), train)
    assert caught.value.code is DataCode.MALFORMED


@pytest.mark.parametrize("record", [None, {"update": b"\xff"}, {"update": "text"}, {}])
def test_a_reply_without_a_signed_update_is_refused(record: dict[str, Any] | None) -> None:
    content = RecordDict({} if record is None else {RECORD: ConfigRecord(record)})
    with pytest.raises(RefusalError) as caught:
        take_update(content)
    assert caught.value.code is DataCode.MALFORMED


def test_key_and_genesis_come_from_the_nodes_config(tmp_path: Path) -> None:
    save_key(tmp_path / "key.json", KEY)
    given = context(**{"fedcoin-key": str(tmp_path / "key.json"), "fedcoin-genesis": GENESIS.hex()})
    assert context_key(given).address == KEY.address
    assert context_genesis(given) == GENESIS
    reply = SigningMod()(message(terms().to_record()), given, train)
    assert decode_update(take_update(reply.content), GENESIS).address == KEY.address


def test_a_node_without_a_key_says_how_to_give_it_one() -> None:
    with pytest.raises(RefusalError, match="--node-config") as caught:
        SigningMod()(message(terms().to_record()), context(), train)
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
