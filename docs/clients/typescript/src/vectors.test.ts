import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { manifestOf, signTransaction } from "./client.js";
import { decode, encode, EncodingError } from "./encoding.js";
import { PaymentKind } from "./gen/fedcoin/v1/block.js";
import { PaymentProof } from "./gen/fedcoin/v1/shapley_task_service.js";
import { ValidatorChange } from "./gen/fedcoin/v1/snapshot.js";
import { TransactionBody } from "./gen/fedcoin/v1/transaction.js";
import { Vote } from "./gen/fedcoin/v1/vote.js";
import { addressOf, digest, formatAddress, isSigned, Key, parseAddress } from "./keys.js";
import { isOnPath, leafHash, merkleRoot } from "./merkle.js";
import { parseGenesis, ProofError, type ProvedPayment, TrustPath, validatorsHash, verifyCertificate } from "./proof.js";

// The vectors are JSON of many shapes; the assertions check what they hold.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Vector = any;

function vectors(name: string): Vector {
  return JSON.parse(readFileSync(new URL(`../../../../tests/vectors/${name}.json`, import.meta.url), "utf8"));
}

const bytes = (hex: string) => Buffer.from(hex, "hex");
const hexOf = (raw: Uint8Array) => Buffer.from(raw).toString("hex");

test("addresses", () => {
  for (const { public_key, address, text } of vectors("addresses")) {
    assert.equal(hexOf(addressOf(bytes(public_key))), address);
    assert.equal(formatAddress(bytes(address)), text);
    assert.equal(hexOf(parseAddress(text)), address);
  }
  for (const { why, text } of vectors("bad_addresses")) assert.throws(() => parseAddress(text), why);
});

test("encodings", () => {
  const { accepted, refused } = vectors("encodings");
  for (const { raw, kind, height, round, block_hash, audited } of accepted) {
    const vote = { kind, height: BigInt(height), round, blockHash: bytes(block_hash), audited };
    assert.equal(hexOf(encode(Vote, vote)), raw);
    assert.deepEqual(decode(Vote, bytes(raw)), vote);
  }
  for (const { why, raw } of refused) assert.throws(() => decode(Vote, bytes(raw)), EncodingError, why);
});

test("signing", () => {
  for (const { context, genesis_hash, body, digest: wanted } of vectors("hashing")) {
    assert.equal(hexOf(digest(context, bytes(genesis_hash), bytes(body))), wanted);
  }
  for (const { seed, public_key, address, context, genesis_hash, body, signature } of vectors("keys")) {
    const key = new Key(bytes(seed));
    assert.equal(hexOf(key.publicKey), public_key);
    assert.equal(hexOf(key.address), address);
    assert.equal(hexOf(key.sign(context, bytes(genesis_hash), bytes(body))), signature);
    const signed = [bytes(genesis_hash), bytes(body), bytes(signature)] as const;
    assert.ok(isSigned(key.publicKey, context, ...signed));
    assert.ok(!isSigned(key.publicKey, "fedcoin/vote/v2", ...signed));
  }
});

test("transactions", () => {
  for (const { action, seed, genesis_hash, body, raw } of vectors("transactions")) {
    const again = encode(TransactionBody, decode(TransactionBody, bytes(body)));
    assert.equal(hexOf(signTransaction(new Key(bytes(seed)), bytes(genesis_hash), again)), raw, action);
  }
});

test("Merkle trees", () => {
  for (const { leaves, root, paths } of vectors("merkle")) {
    const count = leaves.length;
    assert.equal(hexOf(merkleRoot(leaves.map((leaf: string) => leafHash(bytes(leaf))))), root);
    leaves.forEach((leaf: string, i: number) => {
      const path = paths[i].map(bytes);
      assert.ok(isOnPath(bytes(leaf), i, count, path, bytes(root)));
      assert.ok(!isOnPath(bytes(leaf), i, count, [...path, bytes(root)], bytes(root)));
      assert.ok(count === 1 || !isOnPath(bytes(leaf), (i + 1) % count, count, path, bytes(root)));
    });
  }
});

test("artifacts", () => {
  for (const { unit, times, size, id, chunk_hashes } of vectors("artifacts")) {
    const manifest = manifestOf(Buffer.alloc(size, bytes(unit)));
    assert.equal(size, times * bytes(unit).length);
    assert.equal(hexOf(manifest.id), id);
    assert.deepEqual(manifest.chunkHashes.map(hexOf), chunk_hashes);
  }
});

test("genesis", () => {
  const { raw, hash, chain_id } = vectors("genesis");
  const genesis = parseGenesis(Buffer.from(raw));
  assert.equal(hexOf(genesis.hash), hash);
  assert.equal(genesis.chainId, chain_id);
  assert.equal(genesis.validators.length, 1);
});

test("certificates", () => {
  const golden = vectors("certificates");
  const validators = golden.validators.map(({ public_key, power }: Vector) => ({
    publicKey: bytes(public_key),
    power: BigInt(power),
  }));
  assert.equal(hexOf(validatorsHash(validators)), golden.validators_hash);
  const [genesisHash, blockHash] = [bytes(golden.genesis_hash), bytes(golden.block_hash)];
  const check = (raw: string) =>
    verifyCertificate(bytes(raw), validators, genesisHash, BigInt(golden.height), blockHash);
  for (const { round, certificate } of golden.accepted) assert.equal(check(certificate), round);
  for (const { why, certificate } of golden.refused) {
    assert.throws(() => check(certificate), { code: "BAD_CERTIFICATE" }, why);
  }
});

test("payment proofs", () => {
  const golden = vectors("payment_proofs");
  const check = (genesis: string, changes: string[], proofs: string[]): ProvedPayment[] => {
    const trust = new TrustPath(parseGenesis(Buffer.from(genesis)));
    for (const raw of changes) trust.follow(ValidatorChange.decode(bytes(raw)));
    return proofs.map((raw) => trust.check(PaymentProof.decode(bytes(raw))));
  };
  const found = check(golden.genesis, golden.changes, golden.proofs).map(({ blockHash, header, payment }) => ({
    height: Number(header.height),
    block_hash: hexOf(blockHash),
    time_ms: Number(header.timeMs),
    kind: PaymentKind[payment.kind],
    address: formatAddress(payment.address),
    amount: Number(payment.amount),
    shapley_nano: Number(payment.shapleyNano),
  }));
  assert.deepEqual(found, golden.payments);
  for (const { why, code, genesis, changes, proof } of golden.refused) {
    assert.throws(
      () => check(genesis, changes, [proof]),
      (error) => error instanceof ProofError && error.code === code,
      why,
    );
  }
});
