// The messages that a payment proof holds, in their one encoding (docs/PROTOCOL.md, section 1).

import { concat, isEqual, utf8 } from "./bytes.js";

const MASK = (1n << 64n) - 1n;

// Each field: its name and type by its number. `[]` after a type means repeated; numbers are then
// packed. A type in braces is a message.
const SETTLEMENT = {
  1: ["task_id", "bytes"],
  2: ["winner", "bytes"],
  3: ["winner_shapley_nano", "sint64[]"],
  4: ["mean_shapley_nano", "sint64[]"],
  5: ["difficulty_nano", "uint64"],
};

export const BLOCK_HEADER = {
  1: ["chain_id", "string"],
  2: ["height", "uint64"],
  3: ["time_ms", "int64"],
  4: ["parent_hash", "bytes"],
  5: ["last_certificate_hash", "bytes"],
  6: ["transactions_root", "bytes"],
  7: ["receipts_root", "bytes"],
  8: ["app_hash", "bytes"],
  9: ["next_validators_hash", "bytes"],
  10: ["proposer", "bytes"],
  11: ["settlement", SETTLEMENT],
  12: ["round", "uint32"],
  13: ["left_out_reveals", "bool"],
};

export const VOTE = {
  1: ["kind", "enum"],
  2: ["height", "uint64"],
  3: ["round", "uint32"],
  4: ["block_hash", "bytes"],
  5: ["audited", "bool"],
};

export const CERTIFICATE = {
  1: ["precommits", { 1: ["body", "bytes"], 2: ["public_key", "bytes"], 3: ["signature", "bytes"] }, "many"],
};

// Only payments matter here; the other kinds of receipts are refused by their numbers.
export const RECEIPT = {
  2: [
    "payment",
    {
      1: ["kind", "enum"],
      2: ["address", "bytes"],
      3: ["amount", "uint64"],
      4: ["campaign_id", "bytes"],
      5: ["task_id", "bytes"],
      6: ["round", "uint32"],
      7: ["shapley_nano", "sint64"],
    },
  ],
};

export class EncodingError extends Error {}

class Bytes {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  varint() {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.at >= this.bytes.length) throw new EncodingError("it ends too early");
      const byte = BigInt(this.bytes[this.at]);
      this.at += 1;
      value |= (byte & 127n) << shift;
      if (byte < 128n) return value & MASK;
    }
    throw new EncodingError("a number is too long");
  }

  chunk() {
    const length = this.varint();
    if (length > BigInt(this.bytes.length - this.at)) throw new EncodingError("it ends too early");
    const start = this.at;
    this.at += Number(length);
    return this.bytes.subarray(start, this.at);
  }
}

function readNumber(value, type) {
  if (type === "bool") return value !== 0n;
  if (type === "uint32") return value & 0xffffffffn;
  if (type === "enum") return BigInt.asIntN(32, value);
  if (type === "int64") return BigInt.asIntN(64, value);
  if (type === "sint64") return (value >> 1n) ^ -(value & 1n);
  return value;
}

function writeNumber(value, type) {
  if (type === "bool") return value ? 1n : 0n;
  if (type === "sint64") return ((value << 1n) ^ (value >> 63n)) & MASK;
  return value & MASK;
}

function varint(value) {
  const bytes = [];
  let rest = value;
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

function isChunk(type) {
  return typeof type === "object" || type === "bytes" || type === "string" || type.endsWith("[]");
}

function emptyOf([, type, many]) {
  if (many || String(type).endsWith("[]")) return [];
  if (typeof type === "object") return null;
  if (type === "bytes") return new Uint8Array(0);
  if (type === "string") return "";
  return type === "bool" ? false : 0n;
}

function readChunk(chunk, type) {
  if (typeof type === "object") return parse(chunk, type);
  if (type === "bytes") return chunk;
  if (type === "string") {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(chunk);
    } catch {
      throw new EncodingError("a text is not UTF-8");
    }
  }
  const reader = new Bytes(chunk);
  const numbers = [];
  while (reader.at < chunk.length) numbers.push(readNumber(reader.varint(), type.slice(0, -2)));
  return numbers;
}

function parse(bytes, schema) {
  const message = {};
  for (const field of Object.values(schema)) message[field[0]] = emptyOf(field);
  const reader = new Bytes(bytes);
  while (reader.at < bytes.length) {
    const tag = reader.varint();
    const field = schema[tag >> 3n];
    if (!field) throw new EncodingError("it has an unknown field");
    const [name, type, many] = field;
    if ((tag & 7n) !== (isChunk(type) ? 2n : 0n)) throw new EncodingError("a field has another type");
    const value = isChunk(type) ? readChunk(reader.chunk(), type) : readNumber(reader.varint(), type);
    if (many) message[name].push(value);
    else message[name] = value;
  }
  return message;
}

function writeField(number, type, value) {
  const tag = (wire) => varint((BigInt(number) << 3n) | wire);
  const chunk = (bytes) => concat(tag(2n), varint(BigInt(bytes.length)), bytes);
  if (typeof type === "object") return chunk(encode(value, type));
  if (type === "bytes") return chunk(value);
  if (type === "string") return chunk(utf8(value));
  if (type.endsWith("[]")) {
    return chunk(concat(...value.map((each) => varint(writeNumber(each, type.slice(0, -2))))));
  }
  return concat(tag(0n), varint(writeNumber(value, type)));
}

function isEmpty(value) {
  return value === null || value === false || value === 0n || value.length === 0;
}

function encode(message, schema) {
  const parts = [];
  for (const [number, [name, type, many]] of Object.entries(schema)) {
    const value = message[name];
    if (many) parts.push(...value.map((each) => writeField(number, type, each)));
    else if (!isEmpty(value)) parts.push(writeField(number, type, value));
  }
  return concat(...parts);
}

/** Decode the one encoding of a message; EncodingError for other bytes. */
export function decode(bytes, schema) {
  const message = parse(bytes, schema);
  if (!isEqual(encode(message, schema), bytes)) {
    throw new EncodingError("it is not in the canonical encoding");
  }
  return message;
}
