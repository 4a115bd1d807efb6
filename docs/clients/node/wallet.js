// A wallet in JavaScript: shows the balance of a key, sends coins, and waits until the payment is final.
//
//   node wallet.js 127.0.0.1:7051                              prints address and balance of the key in client.key
//   node wallet.js 127.0.0.1:7051 genesis.json ADDRESS AMOUNT  sends AMOUNT (in sap) to ADDRESS
//
// genesis.json is the network's genesis file. Every signature covers its hash, so that the node cannot have a payment
// signed for another network, such as an earlier launch under the same name.
//
// To generate the stubs, run: npm install && npm run generate

import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { bech32m } from "bech32";
import { createHash, createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

import { NodeService } from "./gen/fedcoin/v1/node_service_pb.js";
import { SignedTransactionSchema, TransactionBodySchema } from "./gen/fedcoin/v1/transaction_pb.js";
import { TransactionService } from "./gen/fedcoin/v1/transaction_service_pb.js";
import { TransactionStatus } from "./gen/fedcoin/v1/views_pb.js";

const KEY_FILE = "client.key";
const PREFIX = "fc";
const ADDRESS_BYTES = 20;
const EXPIRY_BLOCKS = 200n;
const MAX_FEE_FACTOR = 20n; // of the minimum fee: more is not paid, whatever the node says
const TIMEOUT_MS = 60_000;

const sha256 = (...parts) => {
  const hash = createHash("sha256");
  parts.forEach((part) => hash.update(part));
  return hash.digest();
};

// Reads the key's seed (32 bytes in hex) from KEY_FILE, or makes a key and writes its seed there when the file
// does not exist.
function loadKey() {
  try {
    return keyOf(Buffer.from(readFileSync(KEY_FILE, "utf8").trim(), "hex"));
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  const seed = randomBytes(32);
  writeFileSync(KEY_FILE, seed.toString("hex"), { mode: 0o600 });
  return keyOf(seed);
}

function keyOf(seed) {
  if (seed.length !== 32) throw new Error(`${KEY_FILE} must hold 32 bytes in hex`);
  // RFC 8410: the DER encoding of an Ed25519 private key is these bytes followed by the seed.
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const { x } = createPublicKey(secret).export({ format: "jwk" });
  return { secret, publicKey: Buffer.from(x, "base64url") };
}

// Returns a key's address: the first 20 bytes of SHA-256 of the public key, in bech32m.
function addressOf(key) {
  const hash = sha256(key.publicKey).subarray(0, ADDRESS_BYTES);
  return bech32m.encode(PREFIX, bech32m.toWords(hash));
}

// Reads the network's name from the bytes of its genesis file.
function chainIdOf(genesis) {
  const { chain_id: snakeCase, chainId: camelCase } = JSON.parse(genesis.toString("utf8"));
  return snakeCase ?? camelCase;
}

// Makes the action that sends an amount, in sap, to an address.
function transfer(to, amount) {
  const { prefix, words } = bech32m.decode(to);
  if (prefix !== PREFIX) throw new Error(`${to} is not an address of this network`);
  const recipient = Uint8Array.from(bech32m.fromWords(words));
  return { case: "transfer", value: { outputs: [{ recipient, amount: BigInt(amount) }] } };
}

// Returns the lowest fee, in sap, with which a transfer with one output is in the next block: its transaction has less
// than one KiB.
function chooseFee({ baseFee, feePerKib, mempoolFeeRate, nextBlockFeeRate }) {
  const minimum = baseFee + feePerKib;
  const most = MAX_FEE_FACTOR * minimum;
  const wanted = [minimum, mempoolFeeRate, nextBlockFeeRate].reduce((a, b) => (a > b ? a : b));
  return wanted < most ? wanted : most;
}

// Fills in fee and expiry height, serialises the body once, signs these bytes, and returns the serialised
// transaction.
async function signed(node, genesis, key, nonce, action) {
  const [{ height }, fees] = await Promise.all([node.getStatus({}), node.getFees({})]);
  const ahead = fees.maxExpiryBlocks < EXPIRY_BLOCKS ? fees.maxExpiryBlocks : EXPIRY_BLOCKS;
  const body = toBinary(
    TransactionBodySchema,
    create(TransactionBodySchema, {
      chainId: chainIdOf(genesis),
      nonce,
      fee: chooseFee(fees),
      expiryHeight: height + ahead,
      action,
    }),
  );
  const digest = sha256("fedcoin/tx/v2\0", sha256(genesis), body);
  const signature = sign(null, digest, key.secret);
  return toBinary(
    SignedTransactionSchema,
    create(SignedTransactionSchema, { body, publicKey: key.publicKey, signature }),
  );
}

// Sends the signed bytes to the node, and returns when the transaction is final. Fails when it was refused or dropped.
async function submit(transactions, transaction) {
  const { hash } = await transactions.submitTransaction({ transaction });
  for await (const { transaction: state } of transactions.watchTransaction({ hash })) {
    if (state.status === TransactionStatus.FINAL) return `${hash} is final at height ${state.height}`;
    if (state.status === TransactionStatus.DROPPED) throw new Error(`${hash} was dropped: ${state.reason}`);
  }
  throw new Error(`${hash} is neither final nor dropped yet, but the node ended the stream; look it up later`);
}

async function run(target, genesisFile, to, amount) {
  const key = loadKey();
  // Plaintext is only for a node on this machine. For other nodes, use https:// and nodeOptions.
  const transport = createGrpcTransport({ baseUrl: `http://${target}`, defaultTimeoutMs: TIMEOUT_MS });
  const node = createClient(NodeService, transport);
  const { account } = await node.getAccount({ address: addressOf(key) });
  if (to === undefined) return `${addressOf(key)} ${account.balance} sap`;
  const transaction = await signed(node, readFileSync(genesisFile), key, account.nonce, transfer(to, amount));
  return submit(createClient(TransactionService, transport), transaction);
}

const given = process.argv.slice(2);
if (given.length !== 1 && given.length !== 4) {
  console.error("usage: node wallet.js NODE [GENESIS ADDRESS AMOUNT]");
  process.exit(2);
}
try {
  console.log(await run(...given));
  process.exit(0); // connections that are still open would keep the process running
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
