import { decode } from "./encoding.js";
import { BlockHeader, type PaymentReceipt, Receipt } from "./gen/fedcoin/v1/block.js";
import type { PaymentProof } from "./gen/fedcoin/v1/shapley_task_service.js";
import type { ValidatorChange } from "./gen/fedcoin/v1/snapshot.js";
import { Certificate, Vote, VoteKind } from "./gen/fedcoin/v1/vote.js";
import { addressOf, isSigned, sha256 } from "./keys.js";
import { isOnPath } from "./merkle.js";

/** What is wrong with a proof: a code of docs/PROTOCOL.md, section 19. */
export class ProofError extends Error {
  constructor(
    readonly code: "BAD_CERTIFICATE" | "BAD_ROOT" | "WRONG_CHAIN" | "WRONG_VALIDATORS_HASH" | "MALFORMED",
    message: string,
  ) {
    super(message);
  }
}

/** A validator votes with the power of its bond, in sap. */
export interface Validator {
  publicKey: Buffer;
  power: bigint;
}

/** What a network's genesis.json says. Take the file from somebody you trust, not from a node. */
export interface Genesis {
  chainId: string;
  /** SHA-256 of the file's exact bytes. Every signature covers it. */
  hash: Buffer;
  validators: Validator[];
}

/** Reads the bytes of a genesis file. */
export function parseGenesis(raw: Buffer): Genesis {
  const content = JSON.parse(raw.toString("utf8"));
  const chainId: unknown = content.chain_id ?? content.chainId;
  if (typeof chainId !== "string" || !chainId) throw new Error("the genesis file has no chain_id");
  const validators = (content.validators ?? []).map((each: Record<string, unknown>) => {
    const bond = each["bond"];
    // Protobuf's JSON has numbers as strings or as numbers; the latter lose digits above 2^53.
    if (typeof bond !== "string" && !Number.isSafeInteger(bond)) throw new Error(`the bond ${String(bond)} is no amount`);
    return { publicKey: Buffer.from(String(each["public_key"] ?? each["publicKey"]), "hex"), power: BigInt(bond as string) };
  });
  return { chainId, hash: sha256(raw), validators: checked(validators) };
}

function checked(validators: Validator[]): Validator[] {
  const keys = new Set(validators.map((each) => each.publicKey.toString("hex")));
  const isBad = (each: Validator) => each.publicKey.length !== 32 || each.power <= 0n;
  if (keys.size !== validators.length || validators.some(isBad)) {
    throw new ProofError("MALFORMED", "each validator comes once, with a key of 32 bytes and a power");
  }
  return validators;
}

/** Returns the hash of the validators to which headers commit. */
export function validatorsHash(validators: readonly Validator[]): Buffer {
  const ordered = [...validators].sort((a, b) => addressOf(a.publicKey).compare(addressOf(b.publicKey)));
  const count = Buffer.alloc(4);
  count.writeUInt32BE(ordered.length);
  const parts = ordered.flatMap(({ publicKey, power }) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(power);
    return [publicKey, bytes];
  });
  return sha256("fedcoin/validators/v1\0", count, ...parts);
}

/**
 * Checks that a serialised Certificate makes a block final: precommits for it in one round, in the order of their keys,
 * by validators with more than two thirds of the power. Returns the round.
 */
export function verifyCertificate(
  raw: Uint8Array,
  validators: readonly Validator[],
  genesisHash: Uint8Array,
  height: bigint,
  blockHash: Uint8Array,
): number {
  const bad = (why: string) => new ProofError("BAD_CERTIFICATE", `the certificate ${why}`);
  try {
    const { precommits } = decode(Certificate, raw);
    const powers = new Map(validators.map((each) => [each.publicKey.toString("hex"), each.power]));
    let power = 0n;
    let before = "";
    for (const { publicKey, body } of precommits) {
      const key = publicKey.toString("hex");
      const own = powers.get(key);
      if (own === undefined || key <= before) throw bad(`has ${key}, which is no validator's or out of order`);
      if (!body.equals(precommits[0]!.body)) throw bad("has precommits that differ");
      power += own;
      before = key;
    }
    const total = validators.reduce((sum, each) => sum + each.power, 0n);
    const first = precommits[0];
    if (!first || 3n * power <= 2n * total) throw bad(`has ${power} of ${total} of the power`);
    const vote = decode(Vote, first.body);
    const isForBlock = vote.height === height && vote.blockHash.equals(blockHash);
    if (vote.kind !== VoteKind.VOTE_KIND_PRECOMMIT || !isForBlock || vote.audited) throw bad("is for something else");
    for (const { publicKey, body, signature } of precommits) {
      if (!isSigned(publicKey, "fedcoin/vote/v2", genesisHash, body, signature)) throw bad("has a wrong signature");
    }
    return vote.round;
  } catch (error) {
    throw error instanceof ProofError ? error : bad(`cannot be read: ${String(error)}`);
  }
}

/** A payment and the block that made it, both proved. */
export interface ProvedPayment {
  blockHash: Buffer;
  header: BlockHeader;
  payment: PaymentReceipt;
}

/**
 * Follows the changes of the validators from a genesis on, by their certificates alone. It is right as long as no
 * validator set on the path ever signs a false chain with more than two thirds of its power.
 */
export class TrustPath {
  readonly #genesis: Genesis;
  readonly #sets: { since: bigint; validators: Validator[] }[];

  constructor(genesis: Genesis) {
    this.#genesis = genesis;
    this.#sets = [{ since: 1n, validators: genesis.validators }];
  }

  /** Checks the next change of the validators, as ListValidatorChanges returns it, and takes it over. */
  follow(change: ValidatorChange): void {
    const header = this.#certified(change.header, change.certificate);
    if (header.height < this.#sets.at(-1)!.since) {
      throw new ProofError("MALFORMED", "the change is not above the one before");
    }
    const validators = checked(change.validators);
    if (!validatorsHash(validators).equals(header.nextValidatorsHash)) {
      throw new ProofError("WRONG_VALIDATORS_HASH", "the header commits to other validators");
    }
    this.#sets.push({ since: header.height + 1n, validators });
  }

  /** Checks a proof, as GetPaymentProof returns it. The payment is read from the receipt that the path proves. */
  check(proof: PaymentProof): ProvedPayment {
    const header = this.#certified(proof.header, proof.certificate);
    if (!isOnPath(proof.receipt, proof.index, proof.count, proof.path, header.receiptsRoot)) {
      throw new ProofError("BAD_ROOT", "the path does not lead to the header's receipts_root");
    }
    const { payment } = this.#read(Receipt, proof.receipt);
    if (!payment) throw new ProofError("MALFORMED", "the receipt is not of a payment");
    return { blockHash: sha256(proof.header), header, payment };
  }

  #certified(raw: Buffer, certificate: Buffer): BlockHeader {
    const header = this.#read(BlockHeader, raw);
    if (header.chainId !== this.#genesis.chainId) {
      throw new ProofError("WRONG_CHAIN", `the header is of chain ${JSON.stringify(header.chainId)}`);
    }
    const { validators } = this.#sets.findLast((set) => set.since <= header.height) ?? this.#sets[0]!;
    verifyCertificate(certificate, validators, this.#genesis.hash, header.height, sha256(raw));
    return header;
  }

  #read<T>(codec: Parameters<typeof decode<T>>[0], raw: Buffer): T {
    try {
      return decode(codec, raw);
    } catch (error) {
      throw new ProofError("MALFORMED", String(error));
    }
  }
}
