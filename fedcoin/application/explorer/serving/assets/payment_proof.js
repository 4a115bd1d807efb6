// Check a payment proof with the genesis as the only trust: docs/PROTOCOL.md, section 19.
//
// The same checks, in the same order and with the same codes, as `fedcoin-node verify --proof`.

import { deriveAddress, formatAddress } from "./addresses.js";
import { bigEndian, compare, concat, fromHex, isEqual, sha256, toHex, utf8 } from "./bytes.js";
import { BLOCK_HEADER, CERTIFICATE, EncodingError, RECEIPT, VOTE, decode } from "./messages.js";
import { verify } from "./signatures.js";
import { parseJson } from "./strict_json.js";

const FORMAT = "fedcoin/payment-proof/v1";
const MAX_PROOF_BYTES = 64 << 20;
const MAX_GENESIS_BYTES = 16 << 20;
const MAX_AMOUNT = (1n << 63n) - 1n;
const MAX_PATH = 64;
const MAX_VOTE_BYTES = 256;
const PRECOMMIT = 2n;
const MIN_BOND = 10_000_000_000n;

const KINDS = [
  "unspecified", "training", "aggregation", "mining", "refund", "deposit_returned",
  "deposit_burned", "bond_burned", "report_reward", "unbonded", "mining_burned",
  "task_deposit_returned", "room_burned", "receipt_deposit_returned", "training_burned",
];

/** Why a proof or a genesis was refused; `code` is that of docs/API.md. */
export class ProofError extends Error {
  constructor(code, field, problem) {
    super(`${field}: ${problem}`);
    this.code = code;
    this.field = field;
    this.problem = problem;
  }
}

function fail(code, field, problem) {
  throw new ProofError(code, field, problem);
}

// Errors from inside name their place in the file.
async function within(place, work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ProofError)) throw error;
    throw new ProofError(error.code, `${place}.${error.field}`, error.problem);
  }
}

// Reading -------------------------------------------------------------------------------------

function parseObject(bytes, name, limit, code) {
  if (bytes.length > limit) fail(code === "MALFORMED" ? "TOO_LARGE" : code, name, `has more than ${limit} bytes`);
  let value;
  try {
    value = parseJson(bytes);
  } catch (error) {
    fail(code, name, error.message);
  }
  if (!(value instanceof Map)) fail(code, name, "is not a JSON object");
  return value;
}

const TYPES = {
  text: (value) => typeof value === "string",
  number: (value) => typeof value === "bigint",
  list: (value) => Array.isArray(value),
};

function member(item, name, type) {
  const value = item instanceof Map ? item.get(name) : undefined;
  if (!TYPES[type](value)) fail("MALFORMED", name, `is missing or is not a ${type}`);
  return value;
}

function hexMember(item, name) {
  const bytes = fromHex(member(item, name, "text"));
  if (!bytes) fail("MALFORMED", name, "must be lower-case hex");
  return bytes;
}

function checkLength(bytes, length, field) {
  if (bytes.length !== length) fail("MALFORMED", field, `must have ${length} bytes`);
}

function decodeMessage(bytes, schema, field) {
  try {
    return decode(bytes, schema);
  } catch (error) {
    if (!(error instanceof EncodingError)) throw error;
    return fail("MALFORMED", field, error.message);
  }
}

function decodeHeader(bytes) {
  const header = decodeMessage(bytes, BLOCK_HEADER, "header");
  const characters = [...header.chain_id].length;
  if (characters < 1 || characters > 64) fail("MALFORMED", "header.chain_id", "has a wrong length");
  if (header.height < 1n || header.height > MAX_AMOUNT) fail("MALFORMED", "header.height", "is out of range");
  if (header.time_ms < 0n) fail("MALFORMED", "header.time_ms", "is out of range");
  for (const name of ["parent_hash", "last_certificate_hash", "transactions_root", "receipts_root", "app_hash", "next_validators_hash"]) {
    checkLength(header[name], 32, `header.${name}`);
  }
  checkLength(header.proposer, 20, "header.proposer");
  if (header.settlement) {
    checkLength(header.settlement.task_id, 32, "header.settlement.task_id");
    checkLength(header.settlement.winner, 20, "header.settlement.winner");
  }
  return header;
}

function decodePayment(bytes) {
  const { payment } = decodeMessage(bytes, RECEIPT, "receipt");
  return payment || fail("MALFORMED", "receipt", "is not the receipt of a payment");
}

// Validators ----------------------------------------------------------------------------------

class ValidatorSet {
  constructor(members) {
    this.members = members;
    this.total = members.reduce((sum, each) => sum + each.power, 0n);
    this.byKey = new Map(members.map((each) => [toHex(each.key), each]));
  }

  // In the order of their addresses; null when a key comes twice.
  static async from(members) {
    const known = await Promise.all(
      members.map(async (each) => ({ ...each, address: await deriveAddress(each.key) })),
    );
    known.sort((a, b) => compare(a.address, b.address));
    const found = new ValidatorSet(known);
    return found.byKey.size === known.length ? found : null;
  }

  async hash() {
    const parts = this.members.map((each) => concat(each.key, bigEndian(each.power, 8)));
    return sha256(utf8("fedcoin/validators/v1\0"), bigEndian(this.members.length, 4), ...parts);
  }
}

async function readValidators(items) {
  const members = items.map((item, index) => {
    const key = hexMember(item, "public_key");
    const power = member(item, "power", "number");
    if (power < 1n || power > MAX_AMOUNT) fail("MALFORMED", `validators[${index}]`, "has a power out of range");
    return { key, power };
  });
  for (const { key } of members) checkLength(key, 32, "validators.public_key");
  const set = await ValidatorSet.from(members);
  return set || fail("MALFORMED", "validators", "a validator is listed twice");
}

/** Read the genesis file of a network; BAD_GENESIS when it is none. */
export async function readGenesis(bytes) {
  const content = parseObject(bytes, "genesis.json", MAX_GENESIS_BYTES, "BAD_GENESIS");
  const either = (item, snake, camel) => {
    if (!(item instanceof Map)) return undefined;
    if (camel !== snake && item.has(snake) && item.has(camel)) fail("BAD_GENESIS", snake, "is given twice");
    return item.has(snake) ? item.get(snake) : item.get(camel);
  };
  const chainId = either(content, "chain_id", "chainId");
  if (typeof chainId !== "string" || !/^[a-z0-9-]{1,64}$/.test(chainId)) {
    fail("BAD_GENESIS", "chain_id", "is missing or is not 1 to 64 lower-case letters, digits and hyphens");
  }
  const listed = content.get("validators");
  if (!Array.isArray(listed) || !listed.length) fail("BAD_GENESIS", "validators", "are missing");
  const parameters = content.get("parameters");
  const minBond = wholeNumber(either(parameters, "min_bond", "minBond")) || MIN_BOND;
  const members = listed.map((item, index) => {
    const key = either(item, "public_key", "publicKey");
    const power = wholeNumber(either(item, "bond", "bond"));
    const isKey = typeof key === "string" && /^[0-9a-f]{64}$/.test(key);
    if (!isKey || power === null || power < minBond || power > MAX_AMOUNT) {
      fail("BAD_GENESIS", `validators[${index}]`, "has a wrong key or bond");
    }
    return { key: fromHex(key), power };
  });
  const validators = await ValidatorSet.from(members);
  if (!validators) fail("BAD_GENESIS", "validators", "one is listed twice");
  return { chainId, hash: await sha256(bytes), validators };
}

// Protobuf's JSON writes 64-bit numbers as text, and reads both.
function wholeNumber(value) {
  if (typeof value === "bigint") return value;
  return typeof value === "string" && /^[0-9]{1,19}$/.test(value) ? BigInt(value) : null;
}

// Certificates --------------------------------------------------------------------------------

function bad(problem) {
  fail("BAD_CERTIFICATE", "certificate", problem);
}

function checkSigners(precommits, validators) {
  let power = 0n;
  let before = new Uint8Array(0);
  for (const { public_key: key } of precommits) {
    if (compare(key, before) <= 0) bad("does not list its precommits in the order of their keys, each once");
    const validator = validators.byKey.get(toHex(key));
    if (!validator) bad(`is signed by ${toHex(key)}, which is not a validator of this height`);
    power += validator.power;
    before = key;
  }
  if (3n * power <= 2n * validators.total) bad(`has ${power} of ${validators.total} of the power; it needs more than two thirds`);
  return power;
}

function checkVote(body, header, blockHash) {
  if (body.length > 128) bad("holds a vote that is too long");
  let vote;
  try {
    vote = decode(body, VOTE);
  } catch (error) {
    if (!(error instanceof EncodingError)) throw error;
    bad(`holds a vote that cannot be read: ${error.message}`);
  }
  if (vote.kind !== PRECOMMIT || vote.audited) bad("holds a vote that is no precommit");
  if (vote.round > 0xfffffffen) bad("holds a vote whose round is out of range");
  if (vote.height !== header.height) bad(`is for height ${vote.height}, not ${header.height}`);
  if (!isEqual(vote.block_hash, blockHash)) bad("is for another block");
}

async function checkCertificate(bytes, validators, genesisHash, header, blockHash) {
  if (bytes.length > MAX_VOTE_BYTES * validators.members.length) bad("is too long for so few validators");
  let precommits;
  try {
    ({ precommits } = decode(bytes, CERTIFICATE));
  } catch (error) {
    if (!(error instanceof EncodingError)) throw error;
    bad(`cannot be read: ${error.message}`);
  }
  const power = checkSigners(precommits, validators);
  const { body } = precommits[0];
  if (precommits.some((each) => !isEqual(each.body, body))) bad("holds precommits that differ");
  checkVote(body, header, blockHash);
  const digest = await sha256(utf8("fedcoin/vote/v2\0"), genesisHash, body);
  const verdicts = await Promise.all(
    precommits.map((each) => verify(each.public_key, digest, each.signature)),
  );
  if (!verdicts.every(Boolean)) bad("holds a signature that is not valid");
  return { power, total: validators.total, signers: precommits.length };
}

// The validator sets from genesis on, followed by certificates alone.
class TrustPath {
  constructor(genesis) {
    this.genesis = genesis;
    this.sets = [{ since: 1n, validators: genesis.validators }];
  }

  at(height) {
    return this.sets.findLast(({ since }) => since <= height).validators;
  }

  async checkCertified(bytes, certificate) {
    const header = decodeHeader(bytes);
    if (header.chain_id !== this.genesis.chainId) fail("WRONG_CHAIN", "header", "belongs to another chain");
    const blockHash = await sha256(bytes);
    const signed = await checkCertificate(certificate, this.at(header.height), this.genesis.hash, header, blockHash);
    return { header, blockHash, signed };
  }

  async follow(bytes, certificate, validators) {
    const { height } = decodeHeader(bytes);
    if (height < this.sets.at(-1).since) fail("MALFORMED", "header", "is not above the previous change");
    const { header } = await this.checkCertified(bytes, certificate);
    if (!isEqual(await validators.hash(), header.next_validators_hash)) {
      fail("WRONG_VALIDATORS_HASH", "validators", "the header commits to another validator set");
    }
    this.sets.push({ since: height + 1n, validators });
    return header;
  }
}

// Payments ------------------------------------------------------------------------------------

function readPath(items) {
  if (items.length > MAX_PATH) fail("MALFORMED", "path", `has more than ${MAX_PATH} steps`);
  return items.map((item, index) => {
    const side = ["left", "right"].find((each) => item instanceof Map && item.has(each));
    if (!side) fail("MALFORMED", `path[${index}]`, "must have a left or a right");
    const hash = hexMember(item, side);
    checkLength(hash, 32, `path[${index}].${side}`);
    return { side, hash };
  });
}

async function checkPayment(item, trust) {
  const bytes = hexMember(item, "header");
  const certificate = hexMember(item, "certificate");
  const { header, blockHash, signed } = await trust.checkCertified(bytes, certificate);
  const receipt = hexMember(item, "receipt");
  const path = readPath(member(item, "path", "list"));
  let value = await sha256([0], receipt);
  for (const { side, hash } of path) {
    value = side === "left" ? await sha256([1], hash, value) : await sha256([1], value, hash);
  }
  if (!isEqual(value, header.receipts_root)) fail("BAD_ROOT", "path", "it does not lead from the receipt to header.receipts_root");
  const payment = decodePayment(receipt);
  const shown = new Map([
    ["height", header.height],
    ["time_ms", header.time_ms],
    ["kind", KINDS[payment.kind] || String(payment.kind)],
    ["amount", payment.amount],
    ["campaign_id", toHex(payment.campaign_id)],
    ["round", payment.round],
    ["shapley_nano", payment.shapley_nano],
    ["header", toHex(bytes)],
    ["certificate", toHex(certificate)],
    ["receipt", toHex(receipt)],
    ["path", path.map(({ side, hash }) => new Map([[side, toHex(hash)]]))],
  ]);
  return { shown, payment, blockHash, signed };
}

function differs(field, given, proved) {
  const show = (value) => (value === undefined ? "nothing" : String(value).slice(0, 80));
  fail("BAD_PROOF", field, `the file says ${show(given)}; the proof says ${show(proved)}`);
}

// Fails at the first member that differs from what is proved.
function compareWith(given, proved, place) {
  if (proved instanceof Map) {
    if (!(given instanceof Map)) differs(place, given, "an object");
    for (const name of new Set([...proved.keys(), ...given.keys()])) {
      const field = place ? `${place}.${name.slice(0, 40)}` : name.slice(0, 40);
      if (!given.has(name) || !proved.has(name)) differs(field, given.get(name), proved.get(name));
      compareWith(given.get(name), proved.get(name), field);
    }
  } else if (Array.isArray(proved)) {
    if (!Array.isArray(given) || given.length !== proved.length) differs(place, "another list", "a list");
    proved.forEach((each, index) => compareWith(given[index], each, `${place}[${index}]`));
  } else if (given !== proved) {
    differs(place, given, proved);
  }
}

function checkNetwork(given, genesis) {
  for (const [name, wanted, code] of [
    ["format", FORMAT, "MALFORMED"],
    ["chain_id", genesis.chainId, "WRONG_CHAIN"],
    ["genesis_hash", toHex(genesis.hash), "WRONG_GENESIS"],
  ]) {
    const found = member(given, name, "text");
    if (found !== wanted) fail(code, name, `it is ${found.slice(0, 80)}; here it must be ${wanted}`);
  }
}

async function followChanges(items, trust) {
  const shown = [];
  for (const [index, item] of items.entries()) {
    await within(`validator_changes[${index}]`, async () => {
      const bytes = hexMember(item, "header");
      const certificate = hexMember(item, "certificate");
      const validators = await readValidators(member(item, "validators", "list"));
      const header = await trust.follow(bytes, certificate, validators);
      shown.push(new Map([
        ["height", header.height],
        ["header", toHex(bytes)],
        ["certificate", toHex(certificate)],
        ["validators", validators.members.map((each) => new Map([["public_key", toHex(each.key)], ["power", each.power]]))],
      ]));
    });
  }
  return shown;
}

async function checkPayments(items, trust) {
  const found = [];
  const seen = new Set();
  for (const [index, item] of items.entries()) {
    found.push(await within(`payments[${index}]`, async () => {
      const one = await checkPayment(item, trust);
      const path = one.shown.get("path").map((step) => [...step]);
      // Without the certificate: a block has as many as validators can make.
      const key = JSON.stringify([one.shown.get("header"), one.shown.get("receipt"), path]);
      if (seen.has(key)) fail("MALFORMED", "path", "is that of an earlier payment: each is made once");
      seen.add(key);
      return one;
    }));
  }
  if (!found.length) fail("MALFORMED", "payments", "is empty; at least one must be proved");
  const [{ payment: first }] = found;
  found.forEach(({ payment }, index) => {
    if (!isEqual(payment.task_id, first.task_id) || !isEqual(payment.address, first.address)) {
      differs(`payments[${index}].receipt`, "another task or address", "that of the first");
    }
  });
  return found;
}

/**
 * Check a proof file. Nothing but the genesis is trusted.
 *
 * @param {Uint8Array} proof The file's bytes.
 * @param {Uint8Array} genesisFile The bytes of genesis.json.
 * @returns What is proved: the network, the task, the address and its payments.
 * @throws {ProofError} The first fault.
 */
export async function checkProof(proof, genesisFile) {
  const genesis = await readGenesis(genesisFile);
  const given = parseObject(proof, "proof", MAX_PROOF_BYTES, "MALFORMED");
  checkNetwork(given, genesis);
  const trust = new TrustPath(genesis);
  const changes = await followChanges(member(given, "validator_changes", "list"), trust);
  const found = await checkPayments(member(given, "payments", "list"), trust);
  const [{ payment: first }] = found;
  const taskId = toHex(first.task_id);
  const address = formatAddress(first.address);
  compareWith(given, new Map([
    ["format", FORMAT],
    ["chain_id", genesis.chainId],
    ["genesis_hash", toHex(genesis.hash)],
    ["task_id", taskId],
    ["address", address],
    ["validator_changes", changes],
    ["payments", found.map(({ shown }) => shown)],
  ]), "");
  return {
    chainId: genesis.chainId,
    genesisHash: toHex(genesis.hash),
    taskId,
    address,
    validatorChanges: changes.length,
    payments: found.map(({ shown, blockHash, signed }) => ({
      height: shown.get("height"),
      timeMs: shown.get("time_ms"),
      kind: shown.get("kind"),
      amount: shown.get("amount"),
      round: shown.get("round"),
      shapleyNano: shown.get("shapley_nano"),
      blockHash: toHex(blockHash),
      signers: signed.signers,
      power: signed.power,
      totalPower: signed.total,
    })),
  };
}
