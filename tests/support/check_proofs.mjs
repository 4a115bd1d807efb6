// Checks payment proofs as the explorer's page does: reads lines of JSON with `proof` and `genesis`
// in base64, and writes for each a line with what is proved, or with the code of the refusal.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { ProofError, checkProof } = await import(pathToFileURL(`${process.argv[2]}/payment_proof.js`));

const asText = (_, value) => (typeof value === "bigint" ? String(value) : value);

for await (const line of createInterface({ input: process.stdin })) {
  const { proof, genesis } = JSON.parse(line);
  let answer;
  try {
    answer = await checkProof(
      new Uint8Array(Buffer.from(proof, "base64")),
      new Uint8Array(Buffer.from(genesis, "base64")),
    );
  } catch (error) {
    if (!(error instanceof ProofError)) throw error;
    answer = { code: error.code, field: error.field };
  }
  console.log(JSON.stringify(answer, asText));
}
