// Addresses: the first 20 bytes of SHA-256 of a key, written in bech32m (BIP-350).

import { sha256 } from "./bytes.js";

const PREFIX = "fc";
const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const BECH32M = 0x2bc830a3;

function checksum(values) {
  let state = 1;
  for (const value of values) {
    const top = state >>> 25;
    state = ((state & 0x1ffffff) << 5) ^ value;
    GENERATOR.forEach((each, bit) => {
      if ((top >>> bit) & 1) state ^= each;
    });
  }
  return state;
}

export async function deriveAddress(publicKey) {
  return (await sha256(publicKey)).slice(0, 20);
}

export function formatAddress(bytes) {
  const groups = [];
  let rest = 0;
  let bits = 0;
  for (const byte of bytes) {
    rest = (rest << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      groups.push((rest >>> bits) & 31);
    }
    rest &= (1 << bits) - 1;
  }
  if (bits) groups.push((rest << (5 - bits)) & 31);
  const codes = [...PREFIX].map((letter) => letter.charCodeAt(0));
  const expanded = [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31)];
  const check = checksum([...expanded, ...groups, 0, 0, 0, 0, 0, 0]) ^ BECH32M;
  const last = [0, 1, 2, 3, 4, 5].map((index) => (check >>> (5 * (5 - index))) & 31);
  return `${PREFIX}1${[...groups, ...last].map((group) => ALPHABET[group]).join("")}`;
}
