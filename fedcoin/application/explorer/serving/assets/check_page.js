// The page that checks a payment proof. All text is put in as text.

import { ProofError, checkProof } from "./payment_proof.js";
import { canVerify } from "./signatures.js";

const form = document.getElementById("check");
const button = form.querySelector("button");
const verdict = document.getElementById("verdict");
const COMMAND = "fedcoin-node verify --proof proof.json --genesis genesis.json";

function element(name, text, className) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function say(className, ...parts) {
  const notice = element("div", "", `notice ${className}`);
  notice.append(...parts);
  verdict.replaceChildren(notice);
}

function amountOf(sap) {
  const fraction = (sap % 100000000n).toString().padStart(8, "0").replace(/0+$/, "");
  return `${sap / 100000000n}${fraction ? `.${fraction}` : ""} FDC`;
}

function list(facts) {
  const terms = element("dl", "", "facts");
  for (const [name, value] of facts) {
    terms.append(element("dt", name), element("dd", value));
  }
  return terms;
}

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function describe(payment) {
  const share = (Number((payment.power * 1000n) / payment.totalPower) / 10).toFixed(1);
  const facts = [
    ["Paid", `${amountOf(payment.amount)} for ${payment.kind.replaceAll("_", " ")}, round ${payment.round}`],
    ["Block", `${payment.height}, ${new Date(Number(payment.timeMs)).toISOString()}`],
    ["Block’s hash", payment.blockHash],
    ["Signed by", `${counted(payment.signers, "validator")} with ${share} % of the voting power`],
  ];
  if (payment.shapleyNano) facts.push(["Shapley value", (Number(payment.shapleyNano) / 1e9).toFixed(6)]);
  return list(facts);
}

function showProved(found) {
  const total = found.payments.reduce((sum, each) => sum + each.amount, 0n);
  const count = counted(found.payments.length, "payment");
  const title = `The proof is valid: ${count} of ${amountOf(total)} in all, to ${found.address}`;
  const followed = `${counted(found.validatorChanges, "change")} of the validators ${found.validatorChanges === 1 ? "was" : "were"} followed`;
  const changes = `${followed} from genesis ${found.genesisHash} of ${found.chainId}.`;
  say("good", element("b", title), element("p", `Task ${found.taskId}. ${changes}`));
  verdict.append(...found.payments.map(describe));
}

function showRefused(error) {
  const code = error instanceof ProofError ? ` [${error.code}]` : "";
  const title = error.code === "BAD_GENESIS" ? "The genesis file cannot be used" : "The proof is not valid";
  const isFault = error instanceof ProofError;
  say("bad", element("b", isFault ? title : "The check could not be made"), element("p", `${error.message}${code}`));
}

function chosen(id) {
  const input = document.getElementById(id);
  return input ? input.files[0] : undefined;
}

async function readProof() {
  const file = chosen("proof");
  if (file) return new Uint8Array(await file.arrayBuffer());
  const { task, address } = form.dataset;
  const reply = await fetch(`/address/${encodeURIComponent(address)}/proof/${encodeURIComponent(task)}.json`);
  if (!reply.ok) throw new Error(`the proof could not be fetched (HTTP ${reply.status}): see its address for the reason`);
  return new Uint8Array(await reply.arrayBuffer());
}

function isReady() {
  return Boolean(chosen("genesis") && (form.dataset.task || chosen("proof")));
}

async function check(event) {
  event.preventDefault();
  if (!isReady()) return;
  button.disabled = true;
  verdict.replaceChildren(element("p", "Checking…"));
  try {
    const genesis = new Uint8Array(await chosen("genesis").arrayBuffer());
    showProved(await checkProof(await readProof(), genesis));
  } catch (error) {
    showRefused(error);
  }
  button.disabled = false;
}

form.addEventListener("submit", check);
form.addEventListener("change", () => {
  button.disabled = !isReady();
});
if (await canVerify()) {
  button.disabled = !isReady();
} else {
  const why = globalThis.isSecureContext
    ? "This browser cannot verify Ed25519 signatures: use a newer one"
    : "Browsers verify signatures on pages of this machine and over HTTPS alone";
  say("", element("p", `${why}, or run ${COMMAND}`));
  form.removeEventListener("submit", check);
  form.addEventListener("submit", (event) => event.preventDefault());
}
