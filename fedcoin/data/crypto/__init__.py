"""Cryptography: hashes, Ed25519 keys, key files, Merkle trees and addresses."""
