"""Vectors of hashes, Merkle trees, addresses and signatures."""

from __future__ import annotations

from typing import Any

from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.addresses import derive_address, encode_bech32m, format_address
from fedcoin.data.crypto.hashing import SigningContext, signing_digest
from scripts.tools.vectors.samples import GENESIS_HASH, KEYS, hash_of


def hashing() -> list[dict[str, Any]]:
    """Hash bodies in every signing context."""
    return [
        {
            "context": context.value,
            "genesis_hash": genesis_hash.hex(),
            "body": body.hex(),
            "digest": signing_digest(context, genesis_hash, body).hex(),
        }
        for context in SigningContext
        for genesis_hash, body in ((GENESIS_HASH, b""), (hash_of("other"), b"\0\1\2"))
    ]


def merkle_trees() -> list[dict[str, Any]]:
    """Build trees of several sizes, with the path of each leaf."""
    trees = []
    for count in (0, 1, 2, 3, 5, 8, 13):
        leaves = [b"leaf %d" % i for i in range(count)]
        trees.append(
            {
                "leaves": [leaf.hex() for leaf in leaves],
                "root": merkle.root(leaves).hex(),
                "paths": [[h.hex() for h in merkle.audit_path(leaves, i)] for i in range(count)],
            }
        )
    return trees


def addresses() -> list[dict[str, Any]]:
    """Derive addresses from public keys."""
    return [
        {
            "public_key": key.public_key.hex(),
            "address": derive_address(key.public_key).hex(),
            "text": format_address(key.address),
        }
        for key in KEYS
    ]


def bad_addresses() -> list[dict[str, str]]:
    """Make texts that look like addresses and are none, with what is wrong with them."""
    text = format_address(KEYS[0].address)
    bad = {
        "no text": "",
        "a letter is wrong": text[:-1] + ("q" if text[-1] != "q" else "p"),
        "two letters are exchanged": text[:3] + text[4] + text[3] + text[5:],
        "a letter is missing": text[:-1],
        "a letter that bech32m does not use": text[:-1] + "b",
        "upper and lower case": text[:-1] + text[-1].upper(),
        "a blank at the end": text + " ",
        "another prefix": encode_bech32m("bc", [0] * 32),
        "19 bytes": encode_bech32m("fc", [0] * 31),
        "21 bytes": encode_bech32m("fc", [0] * 34),
        "five bits of padding": encode_bech32m("fc", [0] * 33),
        "padding that is not zero": encode_bech32m("fc", [0] * 30 + [0, 0, 1]),
        # 20 zero bytes with the checksum of BIP-173.
        "bech32 instead of bech32m": "fc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq2jvfp0",
    }
    return [{"why": why, "text": text} for why, text in bad.items()]


def keys() -> list[dict[str, Any]]:
    """Sign bodies in several contexts."""
    return [
        {
            "seed": key.seed.hex(),
            "public_key": key.public_key.hex(),
            "address": key.address.hex(),
            "context": context.value,
            "genesis_hash": GENESIS_HASH.hex(),
            "body": body.hex(),
            "signature": key.sign(context, GENESIS_HASH, body).hex(),
        }
        for key, context, body in (
            (KEYS[0], SigningContext.TX, b""),
            (KEYS[1], SigningContext.HELLO, b"abc"),
            (KEYS[2], SigningContext.REGISTER, bytes(8)),
        )
    ]
