//! Certificates and payment proofs, checked from the genesis file alone.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;

use crate::crypto::{is_on_path, is_signed, sha256, Address, Hash, VOTE};
use crate::encoding::decode;
use crate::v1::receipt::Kind;
use crate::v1::{BlockHeader, Certificate, PaymentProof, PaymentReceipt, Receipt, ValidatorChange, Vote, VoteKind};

/// What is wrong with a proof: the codes of docs/PROTOCOL.md, section 19.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("the certificate {0}")]
    BadCertificate(String),
    #[error("the path does not lead to the header's receipts_root")]
    BadRoot,
    #[error("the header is of chain {0:?}")]
    WrongChain(String),
    #[error("the header commits to other validators")]
    WrongValidatorsHash,
    #[error("{0}")]
    Malformed(String),
}

impl ProofError {
    /// Returns the code, such as BAD_CERTIFICATE.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadCertificate(_) => "BAD_CERTIFICATE",
            Self::BadRoot => "BAD_ROOT",
            Self::WrongChain(_) => "WRONG_CHAIN",
            Self::WrongValidatorsHash => "WRONG_VALIDATORS_HASH",
            Self::Malformed(_) => "MALFORMED",
        }
    }
}

fn malformed(error: impl ToString) -> ProofError {
    ProofError::Malformed(error.to_string())
}

fn bad(why: impl Into<String>) -> ProofError {
    ProofError::BadCertificate(why.into())
}

/// A validator votes with the power of its bond, in sap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    pub public_key: Vec<u8>,
    pub power: u64,
}

/// The validators of one height.
#[derive(Clone, Debug)]
pub struct Validators(Vec<Validator>);

impl Validators {
    /// Checks that each validator comes once, with a key and a power.
    pub fn new(mut members: Vec<Validator>) -> Result<Self, ProofError> {
        let keys: HashSet<_> = members.iter().map(|each| &each.public_key).collect();
        let is_bad = |each: &Validator| each.public_key.len() != 32 || each.power == 0;
        if keys.len() != members.len() || members.iter().any(is_bad) {
            return Err(malformed("each validator comes once, with a key of 32 bytes and a power"));
        }
        members.sort_by_key(|each| Address::of(&each.public_key));
        Ok(Self(members))
    }

    /// Returns the hash to which headers commit.
    pub fn hash(&self) -> Hash {
        let mut hashed = b"fedcoin/validators/v1\0".to_vec();
        hashed.extend((self.0.len() as u32).to_be_bytes());
        for each in &self.0 {
            hashed.extend(&each.public_key);
            hashed.extend(each.power.to_be_bytes());
        }
        sha256(&[&hashed])
    }

    /// Checks that a serialised Certificate makes a block final: precommits for it in one round, in the order of their
    /// keys, by validators with more than two thirds of the power. Returns the round.
    pub fn verify_certificate(
        &self,
        raw: &[u8],
        genesis_hash: &Hash,
        height: u64,
        block: &Hash,
    ) -> Result<u32, ProofError> {
        let Certificate { precommits } = decode(raw).map_err(|error| bad(error.to_string()))?;
        let powers: HashMap<_, _> = self.0.iter().map(|each| (&each.public_key, u128::from(each.power))).collect();
        let mut power = 0;
        let mut before: &[u8] = &[];
        for each in &precommits {
            match powers.get(&each.public_key) {
                Some(own) if before < each.public_key.as_slice() => power += own,
                _ => return Err(bad("has a key that is no validator's or out of order")),
            }
            if each.body != precommits[0].body {
                return Err(bad("has precommits that differ"));
            }
            before = &each.public_key;
        }
        let total: u128 = powers.values().sum();
        if 3 * power <= 2 * total {
            return Err(bad(format!("has {power} of {total} of the power")));
        }
        let vote: Vote = decode(&precommits[0].body).map_err(|error| bad(error.to_string()))?;
        if vote.kind() != VoteKind::Precommit || vote.height != height || vote.block_hash != block || vote.audited {
            return Err(bad("is for something else"));
        }
        for each in &precommits {
            if !is_signed(&each.public_key, VOTE, genesis_hash, &each.body, &each.signature) {
                return Err(bad("has a wrong signature"));
            }
        }
        Ok(vote.round)
    }
}

/// What a network's genesis.json says. Take the file from somebody you trust, not from a node.
#[derive(Clone, Debug)]
pub struct Genesis {
    pub chain_id: String,
    /// SHA-256 of the file's exact bytes. Every signature covers it.
    pub hash: Hash,
    pub validators: Validators,
}

/// Protobuf's JSON has either form of names, and 64-bit numbers as strings or numbers.
#[derive(Deserialize)]
struct GenesisFile {
    #[serde(alias = "chainId")]
    chain_id: String,
    #[serde(default)]
    validators: Vec<GenesisValidator>,
}

#[derive(Deserialize)]
struct GenesisValidator {
    #[serde(alias = "publicKey")]
    public_key: String,
    bond: Number,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Text(String),
}

impl Genesis {
    /// Reads the bytes of a genesis file.
    pub fn parse(raw: &[u8]) -> Result<Self, ProofError> {
        let file: GenesisFile = serde_json::from_slice(raw).map_err(malformed)?;
        let members = file.validators.into_iter().map(|each| {
            let power = match each.bond {
                Number::Plain(bond) => bond,
                Number::Text(bond) => bond.parse().map_err(malformed)?,
            };
            Ok(Validator { public_key: hex::decode(each.public_key).map_err(malformed)?, power })
        });
        let validators = Validators::new(members.collect::<Result<_, _>>()?)?;
        Ok(Self { chain_id: file.chain_id, hash: sha256(&[raw]), validators })
    }
}

/// A payment and the block that made it, both proved.
#[derive(Clone, Debug)]
pub struct ProvedPayment {
    pub block_hash: Hash,
    pub header: BlockHeader,
    pub payment: PaymentReceipt,
}

/// Follows the changes of the validators from a genesis on, by their certificates alone. It is right as long as no
/// validator set on the path ever signs a false chain with more than two thirds of its power.
pub struct TrustPath {
    genesis: Genesis,
    since: BTreeMap<u64, Validators>,
}

impl TrustPath {
    pub fn new(genesis: Genesis) -> Self {
        let since = BTreeMap::from([(0, genesis.validators.clone())]);
        Self { genesis, since }
    }

    /// Checks the next change of the validators, as ListValidatorChanges returns it, and takes it over.
    pub fn follow(&mut self, change: &ValidatorChange) -> Result<(), ProofError> {
        let header = self.certified(&change.header, &change.certificate)?;
        if self.since.keys().any(|since| header.height < *since) {
            return Err(malformed("the change is not above the one before"));
        }
        let members = change.validators.iter();
        let members = members.map(|each| Validator { public_key: each.public_key.clone(), power: each.power });
        let validators = Validators::new(members.collect())?;
        if header.next_validators_hash != validators.hash() {
            return Err(ProofError::WrongValidatorsHash);
        }
        self.since.insert(header.height + 1, validators);
        Ok(())
    }

    /// Checks a proof, as GetPaymentProof returns it. The payment is read from the receipt that the path proves.
    pub fn check(&self, proof: &PaymentProof) -> Result<ProvedPayment, ProofError> {
        let header = self.certified(&proof.header, &proof.certificate)?;
        let (index, count) = (proof.index.into(), proof.count.into());
        if !is_on_path(&proof.receipt, index, count, &proof.path, &header.receipts_root) {
            return Err(ProofError::BadRoot);
        }
        let receipt: Receipt = decode(&proof.receipt).map_err(malformed)?;
        match receipt.kind {
            Some(Kind::Payment(payment)) => Ok(ProvedPayment { block_hash: sha256(&[&proof.header]), header, payment }),
            _ => Err(malformed("the receipt is not of a payment")),
        }
    }

    fn certified(&self, raw: &[u8], certificate: &[u8]) -> Result<BlockHeader, ProofError> {
        let header: BlockHeader = decode(raw).map_err(malformed)?;
        if header.chain_id != self.genesis.chain_id {
            return Err(ProofError::WrongChain(header.chain_id));
        }
        let (_, validators) = self.since.range(..=header.height).next_back().expect("there is a set from height 0 on");
        validators.verify_certificate(certificate, &self.genesis.hash, header.height, &sha256(&[raw]))?;
        Ok(header)
    }
}
