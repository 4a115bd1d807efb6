"""Cryptography: hashes, Ed25519 keys, key files, Merkle trees and addresses.

Decides how the protocol hashes and signs, and how an address is written. It knows the purposes
of signatures, but not the messages that are signed.

* `hashing`: SHA-256, and the digest that a signature covers; `merkle`: RFC 6962 trees.
* `keys`: signing and verification; `key_files`: keys on disk, encrypted with a passphrase.
* `addresses`: 20-byte addresses and their bech32m form; `key_policies`: accounts of several keys.
"""
