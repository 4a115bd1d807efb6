import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign, verify } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

import { bech32m } from "@scure/base";

const PREFIX = "fc";
const ADDRESS_BYTES = 20;
const SEED_BYTES = 32;
// The DER encodings of Ed25519 keys (RFC 8410) are these bytes followed by the seed or the public key.
const PRIVATE_DER = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_DER = Buffer.from("302a300506032b6570032100", "hex");

/** Separates signatures of different kinds of messages; docs/PROTOCOL.md, section 2. */
export type Context = `fedcoin/${"tx" | "update" | "receipt" | "vote" | "proposal" | "hello" | "register"}/v2`;

export function sha256(...parts: (Uint8Array | string)[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Returns what is signed: SHA-256(context || 00 || genesis hash || body). */
export function digest(context: Context, genesisHash: Uint8Array, body: Uint8Array): Buffer {
  return sha256(`${context}\0`, genesisHash, body);
}

/** Returns the address of a public key: the first 20 bytes of its hash. */
export function addressOf(publicKey: Uint8Array): Buffer {
  return sha256(publicKey).subarray(0, ADDRESS_BYTES);
}

/** Writes an address in bech32m. */
export function formatAddress(address: Uint8Array): string {
  return bech32m.encode(PREFIX, bech32m.toWords(address));
}

/** Reads an address in bech32m (BIP-350), in lower or upper case. */
export function parseAddress(text: string): Buffer {
  const { prefix, words } = bech32m.decode(text as `${string}1${string}`);
  const address = Buffer.from(bech32m.fromWords(words));
  if (prefix !== PREFIX || address.length !== ADDRESS_BYTES) {
    throw new Error(`${JSON.stringify(text)} is not an address: it must begin with fc1 and hold ${ADDRESS_BYTES} bytes`);
  }
  return address;
}

/** Signs with Ed25519 (RFC 8032). */
export class Key {
  readonly publicKey: Buffer;
  readonly #secret: KeyObject;

  /** @param seed 32 bytes. */
  constructor(seed: Uint8Array) {
    if (seed.length !== SEED_BYTES) throw new Error(`the seed has ${seed.length} bytes; it must have ${SEED_BYTES}`);
    this.#secret = createPrivateKey({ key: Buffer.concat([PRIVATE_DER, seed]), format: "der", type: "pkcs8" });
    const spki = createPublicKey(this.#secret).export({ format: "der", type: "spki" });
    this.publicKey = spki.subarray(PUBLIC_DER.length);
  }

  /** Reads a key's seed, in hex, from a file; makes a key and its file when there is none. */
  static load(path: string): Key {
    let text: string;
    try {
      text = readFileSync(path, "utf8").trim();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      text = randomBytes(SEED_BYTES).toString("hex");
      writeFileSync(path, text, { mode: 0o600, flag: "wx" });
    }
    return new Key(Buffer.from(text, "hex"));
  }

  get address(): Buffer {
    return addressOf(this.publicKey);
  }

  sign(context: Context, genesisHash: Uint8Array, body: Uint8Array): Buffer {
    return sign(null, digest(context, genesisHash, body), this.#secret);
  }
}

/** Tells whether a signature of a body is valid. */
export function isSigned(
  publicKey: Uint8Array,
  context: Context,
  genesisHash: Uint8Array,
  body: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const key = createPublicKey({ key: Buffer.concat([PUBLIC_DER, publicKey]), format: "der", type: "spki" });
  return verify(null, digest(context, genesisHash, body), key, signature);
}
