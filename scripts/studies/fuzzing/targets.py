"""Each decoder of bytes from strangers, with valid bytes to begin with.

The valid bytes are the golden vectors in `tests/vectors/`, and what this project's encoders write.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from fedcoin.application.verification.proof_file import check_file
from fedcoin.consensus.certificates import verify_certificate
from fedcoin.consensus.lock_record import decode_lock, encode_lock
from fedcoin.consensus.validator_messages import decode_validators, encode_validators
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.overlay import MemoryState
from fedcoin.data.artifacts.manifest import build_manifest, decode_manifest, encode_manifest
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.key_policies import make_policy, sign_for_policy
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.amounts import parse_amount
from fedcoin.data.messages.blocks import decode_block, decode_header
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.data.messages.transactions import assemble_transaction, decode_transaction
from fedcoin.data.messages.updates import decode_update
from fedcoin.data.messages.votes import PREVOTE, decode_proposal, decode_vote, sign_vote
from fedcoin.data.storage.snapshot_files import SnapshotWriter, read_parts
from fedcoin.learning.files.npz_format import open_npz, write_npz
from fedcoin.learning.files.safetensors_format import open_safetensors, write_safetensors
from fedcoin.learning.files.stored_arrays import StoredArrays
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.workers.replies import BadReplyError, decode_reply, encode_reply
from fedcoin.network.api.paging import decode_location_token, encode_location_token
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.node_addresses import parse_node_address
from fedcoin.network.peers.gossip import consensus_messages
from fedcoin.v1.artifact_pb2 import TENSOR_DTYPE_FLOAT32, ModelSpec, Tensor
from fedcoin.v1.snapshot_pb2 import SnapshotPart
from fedcoin.v1.task_pb2 import SignedUpdate
from fedcoin.v1.transaction_pb2 import KeyPolicy as KeyPolicyMessage
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody
from fedcoin.v1.vote_pb2 import SignedProposal, SignedVote

_VECTORS: Final = Path(__file__).resolve().parents[3] / "tests" / "vectors"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a fresh folder is made in it
_ARCHITECTURE: Final = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "m",
        "layers": [
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": {"batch_shape": [None, 4], "name": "in"},
            },
            {
                "module": "keras.layers",
                "class_name": "Dense",
                "config": {"name": "d", "units": 2, "activation": "softmax"},
            },
        ],
    },
}


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder."""

    name: str
    """Its name on the command line."""
    decode: Callable[[bytes], object] = field(repr=False)
    """Decodes bytes, or raises one of `refusals`."""
    samples: Sequence[bytes] = field(repr=False)
    """Valid bytes; at least one."""
    refusals: tuple[type[Exception], ...] = (RefusalError,)
    """What it may raise."""


def list_targets() -> list[Target]:
    """List all decoders.

    Returns:
        The targets; each accepts its samples.
    """
    return [*_messages(), *_actions(), *_consensus(), *_texts(), *_files(), *_models()]


def _vectors(name: str) -> Any:
    return json.loads((_VECTORS / f"{name}.json").read_text())


def _raws(name: str, key: str = "raw") -> list[bytes]:
    return [bytes.fromhex(one[key]) for one in _vectors(name)]


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda raw: parse(raw.decode("utf-8", errors="replace"))


def _messages() -> list[Target]:
    first = _vectors("transactions")[0]
    genesis_hash = bytes.fromhex(first["genesis_hash"])
    identity = ChainIdentity(first["chain_id"], genesis_hash)

    def update(raw: bytes) -> object:
        return decode_update(canonical.decode(SignedUpdate, raw), genesis_hash)

    return [
        Target(
            "transaction",
            lambda raw: decode_transaction(raw, identity, 1 << 20),
            _raws("transactions"),
        ),
        Target(
            "policy-transaction",
            lambda raw: decode_transaction(raw, identity, 1 << 20),
            [bytes.fromhex(one["raw"]) for one in _vectors("policy_transactions")["accepted"]],
        ),
        _policy_shapes(identity),
        Target("block", decode_block, _raws("blocks")),
        Target("header", decode_header, _raws("blocks", "header")),
        Target("update", update, _raws("updates")),
        Target("tensors", decode_tensors, _raws("tensors")),
        Target("genesis", parse_genesis, [_vectors("genesis")["raw"].encode()]),
    ]


def _policy_shapes(identity: ChainIdentity) -> Target:
    """Changed keys and thresholds, whose places hold valid signatures as far as keys are known."""
    vectors = _vectors("policy_transactions")
    keys = [KeyPair.from_seed(bytes.fromhex(seed)) for seed in vectors["seeds"]]
    known = {key.public_key: key for key in keys}
    body = bytes.fromhex(vectors["body"])

    def decode(raw: bytes) -> object:
        message = canonical.parse(KeyPolicyMessage, raw)
        policy = make_policy(message.threshold, message.public_keys)
        signers = [known[key] for key in policy.public_keys if key in known]
        signed = {
            key.public_key: sign_for_policy(policy, body, key, identity.genesis_hash)
            for key in signers
        }
        transaction = decode_transaction(assemble_transaction(policy, body, signed), identity)
        if len(signers) < policy.threshold or transaction.sender != policy.address:
            raise AssertionError(f"{policy} keys were spent with {len(signers)}")
        return transaction

    public_keys = [key.public_key for key in keys]
    samples = [KeyPolicyMessage(threshold=k, public_keys=public_keys) for k in (1, 2, 3)]
    return Target("policy", decode, [canonical.encode(one) for one in samples])


def _actions() -> list[Target]:
    """Bodies that are signed after they were changed, and then tried on a ledger."""
    genesis = parse_genesis(_vectors("genesis")["raw"].encode())
    key = KeyPair.from_seed(bytes.fromhex(_vectors("transactions")[0]["seed"]))
    changes = genesis_changes(genesis)
    state = {name: value for name, value in changes.items() if value is not None}
    ledger = Ledger(MemoryState(state), genesis)
    max_bytes = genesis.parameters.max_transaction_bytes

    def apply(raw: bytes) -> object:
        signed = SignedTransaction(
            body=raw,
            public_key=key.public_key,
            signature=key.sign(SigningContext.TX, genesis.hash, raw),
        )
        transaction = decode_transaction(canonical.encode(signed), genesis.identity, max_bytes)
        refusal = ledger.check_all([transaction], 0, genesis.time_ms + 1)[0]
        if refusal is not None:
            raise refusal
        return transaction

    bodies = []
    for one in _vectors("transactions"):
        body = TransactionBody.FromString(bytes.fromhex(one["body"]))
        body.chain_id, body.nonce, body.expiry_height = genesis.chain_id, 0, 100
        body.fee = 1_000_000
        bodies.append(canonical.encode(body))
    return [Target("signed-action", apply, bodies)]


def _consensus() -> list[Target]:
    vectors = _vectors("certificates")
    genesis_hash = bytes.fromhex(vectors["genesis_hash"])
    validators = ValidatorSet.from_members(
        Validator.from_key(bytes.fromhex(one["public_key"]), one["power"])
        for one in vectors["validators"]
    )
    certificates = [bytes.fromhex(one["certificate"]) for one in vectors["accepted"]]
    block = decode_block(_raws("blocks")[0])
    key = KeyPair.from_seed(bytes(32))
    prevote = sign_vote(PREVOTE, block.height, 0, block.hash, key, genesis_hash)

    def certificate(raw: bytes) -> object:
        block_hash = bytes.fromhex(vectors["block_hash"])
        return verify_certificate(raw, validators, genesis_hash, vectors["height"], block_hash)

    def vote(raw: bytes) -> object:
        return decode_vote(canonical.decode(SignedVote, raw), genesis_hash)

    def proposal(raw: bytes) -> object:
        return decode_proposal(canonical.decode(SignedProposal, raw), genesis_hash)

    def messages(raw: bytes) -> object:
        return [consensus_messages.read(one) for one in consensus_messages.split(raw)]

    return [
        Target("certificate", certificate, certificates),
        Target("vote", vote, _raws("votes")),
        Target("proposal", proposal, _raws("proposals")),
        Target("validators", decode_validators, [encode_validators(validators)]),
        Target(
            "lock",
            lambda raw: decode_lock(raw, genesis_hash, decode_block),
            [encode_lock(block, [prevote])],
        ),
        Target("consensus-messages", messages, [consensus_messages.encode(prevote) * 2]),
    ]


def _texts() -> list[Target]:
    key = "ab" * 32
    addresses = [one["text"].encode() for one in _vectors("addresses")]
    token = encode_location_token("ListTasks", (5, 7)).encode()
    endpoints = [b"127.0.0.1:7050", b"[::1]:7050", b"node.example:1"]
    return [
        Target("address", _text(parse_address), addresses),
        Target("amount", _text(parse_amount), [b"12.5fdc", b"100sap", b"1fdc"]),
        Target("endpoint", _text(parse_endpoint), endpoints),
        Target(
            "node-address",
            _text(parse_node_address),
            [f"{key}@127.0.0.1:7050".encode(), *endpoints],
        ),
        Target("page-token", _text(partial(decode_location_token, "ListTasks")), [token]),
    ]


def _files() -> list[Target]:
    vectors = _vectors("payment_proofs")
    genesis = parse_genesis(vectors["genesis"].encode())
    manifest = encode_manifest(build_manifest(b"content" * 300_000))
    arrays = {"w": np.ones((3, 4), np.float32), "b": np.zeros(4, np.float32)}
    reply = encode_reply(3, "done", {"values": np.arange(5), "text": "x", "pair": (1, 2.5, None)})
    return [
        Target("manifest", decode_manifest, [manifest]),
        Target(
            "payment-proof",
            lambda raw: check_file(raw, genesis),
            [json.dumps(vectors["document"]).encode()],
        ),
        Target("worker-reply", decode_reply, [reply], (BadReplyError,)),
        Target("snapshot", _from_file(lambda path: list(read_parts(path))), [_snapshot()]),
        Target("npz", _from_file(_load_all(open_npz)), [_written(write_npz, arrays)]),
        Target(
            "safetensors",
            _from_file(_load_all(open_safetensors)),
            [_written(write_safetensors, arrays)],
        ),
    ]


def _models() -> list[Target]:
    weights = [
        Tensor(name=name, dtype=TENSOR_DTYPE_FLOAT32, shape=shape)
        for name, shape in (("k", [4, 2]), ("b", [2]))
    ]
    spec = ModelSpec(
        keras_json=json.dumps(_ARCHITECTURE), weights=weights, input_shape=[4], num_classes=2
    )
    return [Target("model", parse_spec, [spec.SerializeToString(deterministic=True)])]


def _from_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    # In memory where there is such a folder: a hundred thousand files on a disk take an hour.
    folder = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
    path = Path(folder.name) / "case"

    def decode(raw: bytes) -> object:
        # The folder lives as long as the function.
        assert folder.name
        path.write_bytes(raw)
        return read(path)

    return decode


def _load_all(opened: Callable[[Path], Any]) -> Callable[[Path], object]:
    def load(path: Path) -> object:
        stored: StoredArrays
        with opened(path) as stored:
            return stored.load(list(stored.arrays))

    return load


def _written(write: Callable[[Path, dict[str, Any]], None], arrays: dict[str, Any]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample"
        write(path, arrays)
        return path.read_bytes()


def _snapshot() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample"
        writer = SnapshotWriter(path)
        writer.add(SnapshotPart(chunk=SnapshotPart().chunk))
        writer.add(SnapshotPart(head=SnapshotPart().head))
        writer.close()
        return path.read_bytes()
