//! Keys, addresses, signing digests and Merkle trees (docs/PROTOCOL.md, sections 2 to 4).

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bech32::{primitives::decode::CheckedHrpstring, Bech32m, Hrp};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

const PREFIX: Hrp = Hrp::parse_unchecked("fc");

/// The contexts that separate signatures of different kinds of messages.
pub const TRANSACTION: &str = "fedcoin/tx/v2";
pub const VOTE: &str = "fedcoin/vote/v2";

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// Hashes the concatenation of some parts.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Returns what is signed: SHA-256(context || 00 || genesis hash || body).
pub fn digest(context: &str, genesis_hash: &Hash, body: &[u8]) -> Hash {
    sha256(&[context.as_bytes(), &[0], genesis_hash, body])
}

/// An account's address: the first 20 bytes of SHA-256 of its public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub [u8; 20]);

/// A text is not an address.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an address: it must be the bech32m form of 20 bytes and begin with fc1")]
pub struct AddressError(String);

impl Address {
    /// Returns the address of a public key.
    pub fn of(public_key: &[u8]) -> Self {
        let hash = sha256(&[public_key]);
        Self(hash[..20].try_into().expect("a hash has more than 20 bytes"))
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    /// Reads an address in bech32m (BIP-350), in lower or upper case.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refused = || AddressError(text.to_owned());
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| refused())?;
        let address = Self(checked.byte_iter().collect::<Vec<u8>>().try_into().map_err(|_| refused())?);
        // `byte_iter` drops padding, which must be zero and shorter than a letter.
        if address.to_string() == text.to_lowercase() {
            Ok(address)
        } else {
            Err(refused())
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = bech32::encode::<Bech32m>(PREFIX, &self.0).map_err(|_| std::fmt::Error)?;
        formatter.write_str(&text)
    }
}

/// Signs with Ed25519 (RFC 8032).
pub struct Key(SigningKey);

impl Key {
    /// Makes the key of a seed of 32 bytes.
    pub fn from_seed(seed: &Hash) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads a key's seed, in hex, from a file; makes a key and its file when there is none.
    pub fn load(path: &Path) -> std::io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut seed = [0; 32];
                std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
                let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
                file.write_all(hex::encode(seed).as_bytes())?;
                hex::encode(seed)
            }
            read => read?,
        };
        let mut seed = [0; 32];
        hex::decode_to_slice(text.trim(), &mut seed)
            .map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error))?;
        Ok(Self::from_seed(&seed))
    }

    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub fn address(&self) -> Address {
        Address::of(&self.public_key())
    }

    /// Signs a body in a context, for the network with this genesis hash.
    pub fn sign(&self, context: &str, genesis_hash: &Hash, body: &[u8]) -> [u8; 64] {
        self.0.sign(&digest(context, genesis_hash, body)).to_bytes()
    }
}

/// Tells whether a signature of a body is valid, by the strict rule of nodes: no keys of small order.
pub fn is_signed(public_key: &[u8], context: &str, genesis_hash: &Hash, body: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::try_from(public_key), Signature::from_slice(signature)) else {
        return false;
    };
    key.verify_strict(&digest(context, genesis_hash, body), &signature).is_ok()
}

/// Hashes the data of a leaf of a Merkle tree (RFC 6962, section 2.1).
pub fn leaf_hash(data: &[u8]) -> Hash {
    sha256(&[&[0], data])
}

fn node_hash(left: &[u8], right: &[u8]) -> Hash {
    sha256(&[&[1], left, right])
}

/// Returns the root over leaves whose hashes are given.
pub fn merkle_root(leaf_hashes: &[Hash]) -> Hash {
    let mut level = leaf_hashes.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node_hash(left, right),
                alone => alone[0], // a node without a sibling moves up unchanged
            })
            .collect();
    }
    level.first().copied().unwrap_or_else(|| sha256(&[]))
}

/// Tells whether a path, from the leaf up, leads from the leaf with this index, of `count`, to a root.
pub fn is_on_path(leaf: &[u8], mut index: u64, mut count: u64, path: &[Vec<u8>], root: &[u8]) -> bool {
    if index >= count {
        return false;
    }
    let mut value = leaf_hash(leaf);
    let mut path = path.iter();
    while count > 1 {
        let is_right = index % 2 == 1;
        if is_right || index + 1 < count {
            let Some(sibling) = path.next().filter(|hash| hash.len() == 32) else {
                return false;
            };
            value = if is_right { node_hash(sibling, &value) } else { node_hash(&value, sibling) };
        }
        index /= 2;
        count = count.div_ceil(2);
    }
    path.next().is_none() && value == root
}
