// What a program does with a node, one step a command; each prints lines of JSON.
//
//   node dist/tour.js status NODE                           chain id and height
//   node dist/tour.js blocks NODE PAGE_SIZE                 all blocks, the highest first, by pages
//   node dist/tour.js watch NODE FROM COUNT                 COUNT blocks from height FROM on; continues after a break
//   node dist/tour.js upload NODE FILE                      stores an artifact
//   node dist/tour.js download NODE ID FILE                 fetches it
//   node dist/tour.js error NODE                            shows the details of an error
//   node dist/tour.js send NODE GENESIS KEY ADDRESS AMOUNT  pays from the key whose seed is in the file KEY
//   node dist/tour.js prove NODE GENESIS TASK ADDRESS       checks a task's payments, trusting the genesis alone

import { readFileSync, writeFileSync } from "node:fs";

import { credentials, status } from "@grpc/grpc-js";

import { Client } from "./client.js";
import { Refusal } from "./errors.js";
import { PaymentKind } from "./gen/fedcoin/v1/block.js";
import { Key, parseAddress } from "./keys.js";
import { parseGenesis } from "./proof.js";

const MAX_ARTIFACT_BYTES = 2 ** 30;

type Step = (client: Client, ...given: string[]) => Promise<void>;

function show(fields: Record<string, unknown>): void {
  console.log(JSON.stringify(fields, (_, value) => (typeof value === "bigint" ? Number(value) : value)));
}

const steps: Record<string, Step> = {
  async status(client) {
    const { chainId, height } = await client.call(client.node, "getStatus", {});
    show({ chain_id: chainId, height });
  },
  async blocks(client, pageSize) {
    for await (const { height, hash } of client.blocks(Number(pageSize))) show({ height, hash });
  },
  async watch(client, from, count) {
    let left = Number(count);
    for await (const { block, payments } of client.watch(BigInt(from!))) {
      show({ height: block!.height, payments: payments.length });
      if (--left === 0) break;
    }
  },
  async upload(client, file) {
    show({ id: (await client.upload(readFileSync(file!))).toString("hex") });
  },
  async download(client, id, file) {
    const data = await client.download(Buffer.from(id!, "hex"), MAX_ARTIFACT_BYTES);
    writeFileSync(file!, data);
    show({ bytes: data.length });
  },
  async error(client) {
    try {
      await client.call(client.tasks, "getTask", { taskId: "zz" });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { reason, domain, field, limit, sentence: message } = error;
      return show({ status: status[error.status], reason, domain, field, limit, message });
    }
    throw new Error("the node did not refuse");
  },
  async send(client, genesis, key, address, amount) {
    const network = parseGenesis(readFileSync(genesis!));
    const sent = await client.send(Key.load(key!), network, parseAddress(address!), BigInt(amount!));
    show({ hash: sent.hash, height: sent.height });
  },
  async prove(client, genesis, taskId, address) {
    const network = parseGenesis(readFileSync(genesis!));
    for (const { header, payment } of await client.provePayments(network, taskId!, parseAddress(address!))) {
      show({ height: header.height, kind: PaymentKind[payment.kind], amount: payment.amount });
    }
  },
};

const [name = "", target = "", ...given] = process.argv.slice(2);
const step = steps[name];
if (!step || !target) {
  console.error("usage: tour STEP NODE [ARGUMENTS], see the comment in tour.ts");
  process.exit(2);
}
// Plaintext is only for a node on this machine. For other nodes, use credentials.createSsl().
const client = new Client(target, credentials.createInsecure());
try {
  await step(client, ...given);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  client.close();
}
