//! The golden vectors in tests/vectors, which all languages check.

use prost::Message;
use serde_json::Value;

use fedcoin::client::{manifest_of, sign_transaction};
use fedcoin::crypto::{digest, is_on_path, is_signed, leaf_hash, merkle_root, Address, Hash, Key, VOTE};
use fedcoin::encoding::decode;
use fedcoin::proof::{Genesis, ProofError, ProvedPayment, TrustPath, Validator, Validators};
use fedcoin::v1::{PaymentProof, TransactionBody, ValidatorChange, Vote};

fn vectors(name: &str) -> Value {
    let path = format!("{}/../../../tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn items(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn hash(value: &Value) -> Hash {
    bytes(value).try_into().unwrap()
}

#[test]
fn addresses() {
    for each in items(&vectors("addresses")) {
        let address = Address::of(&bytes(&each["public_key"]));
        assert_eq!(hex::encode(address.0), text(&each["address"]));
        assert_eq!(address.to_string(), text(&each["text"]));
        assert_eq!(text(&each["text"]).parse::<Address>().unwrap(), address);
    }
    for each in items(&vectors("bad_addresses")) {
        assert!(text(&each["text"]).parse::<Address>().is_err(), "{}", each["why"]);
    }
}

#[test]
fn encodings() {
    let golden = vectors("encodings");
    for each in items(&golden["accepted"]) {
        let vote = Vote {
            kind: each["kind"].as_i64().unwrap() as i32,
            height: each["height"].as_u64().unwrap(),
            round: each["round"].as_u64().unwrap() as u32,
            block_hash: bytes(&each["block_hash"]),
            audited: each["audited"].as_bool().unwrap(),
        };
        assert_eq!(hex::encode(vote.encode_to_vec()), text(&each["raw"]));
        assert_eq!(decode::<Vote>(&bytes(&each["raw"])).unwrap(), vote);
    }
    for each in items(&golden["refused"]) {
        assert!(decode::<Vote>(&bytes(&each["raw"])).is_err(), "{}", each["why"]);
    }
}

#[test]
fn signing() {
    for each in items(&vectors("hashing")) {
        let found = digest(text(&each["context"]), &hash(&each["genesis_hash"]), &bytes(&each["body"]));
        assert_eq!(hex::encode(found), text(&each["digest"]));
    }
    for each in items(&vectors("keys")) {
        let key = Key::from_seed(&hash(&each["seed"]));
        let (context, genesis_hash, body) = (text(&each["context"]), hash(&each["genesis_hash"]), bytes(&each["body"]));
        let signature = key.sign(context, &genesis_hash, &body);
        assert_eq!(hex::encode(key.public_key()), text(&each["public_key"]));
        assert_eq!(hex::encode(key.address().0), text(&each["address"]));
        assert_eq!(hex::encode(signature), text(&each["signature"]));
        assert!(is_signed(&key.public_key(), context, &genesis_hash, &body, &signature));
        assert!(!is_signed(&key.public_key(), VOTE, &genesis_hash, &body, &signature));
    }
}

#[test]
fn transactions() {
    for each in items(&vectors("transactions")) {
        let body: TransactionBody = decode(&bytes(&each["body"])).unwrap();
        let key = Key::from_seed(&hash(&each["seed"]));
        let raw = sign_transaction(&key, &hash(&each["genesis_hash"]), body.encode_to_vec());
        assert_eq!(hex::encode(raw), text(&each["raw"]), "{}", each["action"]);
    }
}

#[test]
fn merkle_trees() {
    for each in items(&vectors("merkle")) {
        let leaves: Vec<_> = items(&each["leaves"]).iter().map(bytes).collect();
        let root = hash(&each["root"]);
        assert_eq!(merkle_root(&leaves.iter().map(|leaf| leaf_hash(leaf)).collect::<Vec<_>>()), root);
        let count = leaves.len() as u64;
        for (index, leaf) in leaves.iter().enumerate() {
            let path: Vec<_> = items(&each["paths"][index]).iter().map(bytes).collect();
            let longer: Vec<_> = path.iter().cloned().chain([root.to_vec()]).collect();
            let index = index as u64;
            let other = (index + 1) % count;
            assert!(is_on_path(leaf, index, count, &path, &root));
            assert!(!is_on_path(leaf, index, count, &longer, &root));
            assert!(other == index || !is_on_path(leaf, other, count, &path, &root));
        }
    }
}

#[test]
fn artifacts() {
    for each in items(&vectors("artifacts")) {
        let manifest = manifest_of(&bytes(&each["unit"]).repeat(each["times"].as_u64().unwrap() as usize));
        assert_eq!(manifest.size, each["size"].as_u64().unwrap());
        assert_eq!(hex::encode(&manifest.id), text(&each["id"]));
        assert_eq!(manifest.chunk_hashes, items(&each["chunk_hashes"]).iter().map(bytes).collect::<Vec<_>>());
    }
}

#[test]
fn genesis() {
    let golden = vectors("genesis");
    let genesis = Genesis::parse(text(&golden["raw"]).as_bytes()).unwrap();
    assert_eq!(hex::encode(genesis.hash), text(&golden["hash"]));
    assert_eq!(genesis.chain_id, text(&golden["chain_id"]));
}

#[test]
fn certificates() {
    let golden = vectors("certificates");
    let members = items(&golden["validators"]).iter();
    let members = members
        .map(|each| Validator { public_key: bytes(&each["public_key"]), power: each["power"].as_u64().unwrap() });
    let validators = Validators::new(members.collect()).unwrap();
    assert_eq!(hex::encode(validators.hash()), text(&golden["validators_hash"]));
    let (genesis_hash, block) = (hash(&golden["genesis_hash"]), hash(&golden["block_hash"]));
    let height = golden["height"].as_u64().unwrap();
    let check =
        |each: &Value| validators.verify_certificate(&bytes(&each["certificate"]), &genesis_hash, height, &block);
    for each in items(&golden["accepted"]) {
        assert_eq!(u64::from(check(each).unwrap()), each["round"].as_u64().unwrap());
    }
    for each in items(&golden["refused"]) {
        assert_eq!(check(each).unwrap_err().code(), "BAD_CERTIFICATE", "{}", each["why"]);
    }
}

fn check(genesis: &Value, changes: &Value, proofs: &[Value]) -> Result<Vec<ProvedPayment>, ProofError> {
    let mut trust = TrustPath::new(Genesis::parse(text(genesis).as_bytes())?);
    for raw in items(changes) {
        trust.follow(&ValidatorChange::decode(bytes(raw).as_slice()).unwrap())?;
    }
    proofs.iter().map(|raw| trust.check(&PaymentProof::decode(bytes(raw).as_slice()).unwrap())).collect()
}

#[test]
fn payment_proofs() {
    let golden = vectors("payment_proofs");
    let found = check(&golden["genesis"], &golden["changes"], items(&golden["proofs"])).unwrap();
    assert_eq!(found.len(), items(&golden["payments"]).len());
    for (proved, wanted) in found.iter().zip(items(&golden["payments"])) {
        let payment = &proved.payment;
        assert_eq!(proved.header.height, wanted["height"].as_u64().unwrap());
        assert_eq!(hex::encode(proved.block_hash), text(&wanted["block_hash"]));
        assert_eq!(payment.kind().as_str_name(), text(&wanted["kind"]));
        assert_eq!(Address(payment.address.clone().try_into().unwrap()).to_string(), text(&wanted["address"]));
        assert_eq!(payment.amount, wanted["amount"].as_u64().unwrap());
        assert_eq!(payment.shapley_nano, wanted["shapley_nano"].as_i64().unwrap());
    }
    for each in items(&golden["refused"]) {
        let error = check(&each["genesis"], &each["changes"], &[each["proof"].clone()]).unwrap_err();
        assert_eq!(error.code(), text(&each["code"]), "{}", each["why"]);
    }
}
