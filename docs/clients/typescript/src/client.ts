import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

import type { CallOptions, ChannelCredentials, ServiceError } from "@grpc/grpc-js";

import { encode } from "./encoding.js";
import { explain, isPassing } from "./errors.js";
import type { ArtifactManifest } from "./gen/fedcoin/v1/artifact.js";
import { ArtifactServiceClient } from "./gen/fedcoin/v1/artifact_service.js";
import { ArtifactUploadServiceClient, type UploadRequest } from "./gen/fedcoin/v1/artifact_upload_service.js";
import { NodeServiceClient, type GetFeesResponse, type WatchEventsResponse } from "./gen/fedcoin/v1/node_service.js";
import { ShapleyTaskServiceClient } from "./gen/fedcoin/v1/shapley_task_service.js";
import type { ValidatorChange } from "./gen/fedcoin/v1/snapshot.js";
import { SignedTransaction, TransactionBody } from "./gen/fedcoin/v1/transaction.js";
import { TransactionServiceClient } from "./gen/fedcoin/v1/transaction_service.js";
import { type BlockView, TransactionStatus, type TransactionView } from "./gen/fedcoin/v1/views.js";
import { formatAddress, type Key } from "./keys.js";
import { leafHash, merkleRoot } from "./merkle.js";
import { type Genesis, type ProvedPayment, TrustPath } from "./proof.js";

export const CHUNK_BYTES = 262_144;
const CALL_MS = 60_000;
const [MIN_PAUSE_MS, MAX_PAUSE_MS] = [200, 10_000];
const EXPIRY_BLOCKS = 200n;
const MAX_FEE_FACTOR = 20n; // of the minimum fee: more is not paid, whatever the node says

// The methods of grpc-js's stubs are overloaded; this is the form that is called here.
type Unary<Q, R> = (
  request: Q,
  metadata: never,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, reply: R) => void,
) => unknown;

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

/** Calls one node, and fails with a Refusal. The stubs are its fields. */
export class Client {
  readonly node: NodeServiceClient;
  readonly transactions: TransactionServiceClient;
  readonly tasks: ShapleyTaskServiceClient;
  readonly artifacts: ArtifactServiceClient;
  readonly uploads: ArtifactUploadServiceClient;

  /**
   * @param target host:port.
   * @param credentials credentials.createInsecure() for a node on this machine, createSsl() for others.
   */
  constructor(target: string, credentials: ChannelCredentials) {
    const options = {
      "grpc.keepalive_time_ms": 20_000, // nodes accept a ping every 5 s
      "grpc.keepalive_timeout_ms": 10_000,
      "grpc.initial_reconnect_backoff_ms": MIN_PAUSE_MS, // otherwise 1 s, growing to 2 minutes
      "grpc.max_reconnect_backoff_ms": MAX_PAUSE_MS,
    };
    this.node = new NodeServiceClient(target, credentials, options);
    // All stubs share one connection.
    const shared = { ...options, channelOverride: this.node.getChannel() };
    this.transactions = new TransactionServiceClient(target, credentials, shared);
    this.tasks = new ShapleyTaskServiceClient(target, credentials, shared);
    this.artifacts = new ArtifactServiceClient(target, credentials, shared);
    this.uploads = new ArtifactUploadServiceClient(target, credentials, shared);
  }

  close(): void {
    this.node.close();
  }

  /** Makes a call with a single reply: `call(client.node, "getStatus", {})`. */
  call<S, M extends keyof S & string>(stub: S, method: M, request: RequestOf<S[M]>): Promise<ReplyOf<S[M]>> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_MS };
      const called = (stub[method] as Unary<unknown, ReplyOf<S[M]>>).bind(stub) as (...given: unknown[]) => unknown;
      called(request, options, (error: ServiceError | null, reply: ReplyOf<S[M]>) =>
        error ? reject(explain(error)) : resolve(reply),
      );
    });
  }

  /** Lists the blocks that the node keeps, the highest first, by pages. */
  blocks(pageSize = 0): AsyncGenerator<BlockView> {
    return pages(async (pageToken) => {
      const page = await this.call(this.node, "listBlocks", { pageSize, pageToken });
      return [page.blocks, page.nextPageToken];
    });
  }

  /** Lists the blocks below a height that changed the validators, the lowest first; 0n lists all. */
  validatorChanges(belowHeight = 0n): AsyncGenerator<ValidatorChange> {
    return pages(async (pageToken) => {
      const page = await this.call(this.node, "listValidatorChanges", { pageSize: 0, pageToken, belowHeight });
      return [page.changes, page.nextPageToken];
    });
  }

  /**
   * Yields the events of each block from a height on, in order and without a gap; 0n means the next new block. When the
   * stream breaks, it calls again with growing pauses and continues behind the last block. With addresses it yields their
   * events only.
   */
  async *watch(fromHeight: bigint, addresses: string[] = []): AsyncGenerator<WatchEventsResponse> {
    let next = fromHeight;
    for (const pause = new Pause(); ; await pause.wait()) {
      try {
        // A height of its own: a stream that breaks before its first block must not skip one.
        if (next === 0n) next = (await this.call(this.node, "getStatus", {})).height + 1n;
        const stream = this.node.watchEvents({ fromHeight: next, addresses });
        try {
          for await (const events of stream as AsyncIterable<WatchEventsResponse>) {
            next = events.block!.height + 1n;
            pause.reset();
            yield events;
          }
        } finally {
          stream.cancel();
        }
      } catch (error) {
        if (!isPassing(error)) throw explain(error);
      }
    }
  }

  /** Stores an artifact, which must not be empty, and returns its id. Continues after a break. */
  async upload(data: Buffer): Promise<Buffer> {
    const manifest = manifestOf(data);
    return persistently(async () => {
      const status = await this.call(this.uploads, "getUploadStatus", { id: manifest.id, proof: undefined });
      if (status.complete) return manifest.id;
      return new Promise<Buffer>((resolve, reject) => {
        const stream = this.uploads.upload((error, reply) => (error ? reject(error) : resolve(reply.id)));
        stream.on("error", reject);
        // A stream of objects, which the type of `pipe` does not know.
        const sink = stream as unknown as NodeJS.WritableStream;
        Readable.from(uploadRequests(manifest, data, status.nextChunk)).pipe(sink);
      });
    });
  }

  /** Fetches an artifact and checks every chunk. Continues after a break. */
  async download(id: Buffer, maxBytes: number): Promise<Buffer> {
    const { manifest } = await this.call(this.artifacts, "getManifest", { id, proof: undefined });
    checkManifest(manifest, id);
    if (manifest.size > BigInt(maxBytes)) throw new Error(`the artifact has ${manifest.size} bytes, too many`);
    const chunks: Buffer[] = [];
    await persistently(async () => {
      const stream = this.artifacts.download({ id, firstChunk: chunks.length, proof: undefined });
      for await (const { index, data } of stream) {
        if (index !== chunks.length || !leafHash(data).equals(manifest.chunkHashes[index] ?? Buffer.alloc(0))) {
          throw new Error(`the node sent a wrong chunk ${index}`);
        }
        chunks.push(data);
      }
    });
    const data = Buffer.concat(chunks);
    if (BigInt(data.length) !== manifest.size) throw new Error("the node sent too few bytes");
    return data;
  }

  /** Signs a transfer of an amount in sap, submits it, and returns when it is final. */
  async send(key: Key, genesis: Genesis, recipient: Buffer, amount: bigint): Promise<TransactionView> {
    const [{ height }, { account }, fees] = await Promise.all([
      this.call(this.node, "getStatus", {}),
      this.call(this.node, "getAccount", { address: formatAddress(key.address) }),
      this.call(this.node, "getFees", {}),
    ]);
    const body = TransactionBody.fromPartial({
      chainId: genesis.chainId,
      nonce: account!.nonce,
      fee: chooseFee(fees),
      expiryHeight: height + min(fees.maxExpiryBlocks, EXPIRY_BLOCKS),
      transfer: { outputs: [{ recipient, amount }] },
    });
    return this.submit(signTransaction(key, genesis.hash, encode(TransactionBody, body)));
  }

  /** Submits a serialised SignedTransaction, and returns when it is final. Submitting the same bytes again is safe. */
  async submit(transaction: Buffer): Promise<TransactionView> {
    const { hash } = await this.call(this.transactions, "submitTransaction", { transaction });
    return persistently(async () => {
      for await (const { transaction: view } of this.transactions.watchTransaction({ hash })) {
        if (view.status === TransactionStatus.TRANSACTION_STATUS_FINAL) return view;
        if (view.status === TransactionStatus.TRANSACTION_STATUS_DROPPED) {
          throw new Error(`${hash} was dropped: ${view.reason}`);
        }
      }
      throw new Error(`the node ended the stream; look ${hash} up later`);
    });
  }

  /**
   * Asks for the proofs of a task's payments to an address, and checks them by the genesis alone. It proves that these
   * payments were made, not that there were no others.
   */
  async provePayments(genesis: Genesis, taskId: string, to: Buffer): Promise<ProvedPayment[]> {
    const { proofs } = await this.call(this.tasks, "getPaymentProof", { taskId, address: formatAddress(to) });
    const trust = new TrustPath(genesis);
    for await (const change of this.validatorChanges()) trust.follow(change);
    return proofs.map((proof) => {
      const proved = trust.check(proof);
      if (proved.payment.taskId.toString("hex") !== taskId || !proved.payment.address.equals(to)) {
        throw new Error("the node proved another payment than the one that was asked for");
      }
      return proved;
    });
  }
}

// With a callback alone, and with options before it, each unary method takes its request first.
type RequestOf<M> = M extends (request: infer Q, ...rest: never[]) => unknown ? Q : never;
type ReplyOf<M> = M extends {
  (request: never, metadata: never, options: never, callback: (error: never, reply: infer R) => void): unknown;
}
  ? R
  : never;

/** Signs a serialised body, and returns the serialised SignedTransaction. */
export function signTransaction(key: Key, genesisHash: Buffer, body: Buffer): Buffer {
  const signature = key.sign("fedcoin/tx/v2", genesisHash, body);
  return encode(SignedTransaction, { body, publicKey: key.publicKey, signature, policy: undefined, signatures: [] });
}

// The lowest fee with which a transfer with one output, which has less than one KiB, is in the next block.
function chooseFee({ baseFee, feePerKib, mempoolFeeRate, nextBlockFeeRate }: GetFeesResponse): bigint {
  const minimum = baseFee + feePerKib;
  const wanted = [minimum, mempoolFeeRate, nextBlockFeeRate].reduce((a, b) => (a > b ? a : b));
  return min(wanted, MAX_FEE_FACTOR * minimum);
}

/** Cuts an artifact into chunks and hashes them. */
export function manifestOf(data: Buffer): ArtifactManifest {
  const chunkHashes: Buffer[] = [];
  for (let at = 0; at < data.length; at += CHUNK_BYTES) {
    chunkHashes.push(leafHash(data.subarray(at, at + CHUNK_BYTES)));
  }
  return { id: merkleRoot(chunkHashes), size: BigInt(data.length), chunkHashes };
}

function checkManifest(manifest: ArtifactManifest | undefined, id: Buffer): asserts manifest {
  if (!manifest || !merkleRoot(manifest.chunkHashes).equals(id)) throw new Error("the manifest is of another artifact");
}

function* uploadRequests(manifest: ArtifactManifest, data: Buffer, nextChunk: number): Generator<UploadRequest> {
  yield { manifest, chunk: undefined, proof: undefined };
  for (let index = nextChunk; index < manifest.chunkHashes.length; index++) {
    const part = data.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
    yield { manifest: undefined, chunk: { index, data: part }, proof: undefined };
  }
}

async function* pages<T>(fetch: (token: string) => Promise<[T[], string]>): AsyncGenerator<T> {
  let token = "";
  do {
    const [items, next] = await fetch(token);
    yield* items;
    token = next;
  } while (token);
}

// Repeats an action while repeating can help.
async function persistently<T>(action: () => Promise<T>): Promise<T> {
  for (const pause = new Pause(); ; await pause.wait()) {
    try {
      return await action();
    } catch (error) {
      if (!isPassing(error)) throw explain(error);
    }
  }
}

// A pause that grows with each failure in a row.
class Pause {
  #ms = MIN_PAUSE_MS / 2;

  reset(): void {
    this.#ms = MIN_PAUSE_MS / 2;
  }

  async wait(): Promise<void> {
    this.#ms = Math.min(2 * this.#ms, MAX_PAUSE_MS);
    await sleep(this.#ms * (0.5 + Math.random() / 2));
  }
}
