// Ed25519 by the browser (WebCrypto), with the verdict of libsodium, which is the network's rule:
// no keys or points of small order, no encodings that are not canonical.

import { compare, fromHex, isEqual } from "./bytes.js";

// Encodings of y, little-endian, without the sign bit: the points of small order (0, 1, p - 1 and
// two of order 8), and p and p + 1, which are other encodings of 0 and 1.
const SMALL_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map(fromHex);
// p = 2^255 - 19 and the order of the group, big-endian.
const P = fromHex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed");
const ORDER = fromHex("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed");

function withoutSign(point) {
  const y = point.slice();
  y[31] &= 127;
  return y;
}

function isBelow(number, limit) {
  return compare(number.slice().reverse(), limit) < 0;
}

function hasSmallOrder(point) {
  const y = withoutSign(point);
  return SMALL_ORDER.some((each) => isEqual(each, y));
}

/** Tell whether this browser can verify signatures at all. */
export async function canVerify() {
  if (!globalThis.crypto || !crypto.subtle) return false;
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(32).fill(9), "Ed25519", false, ["verify"]);
    return true;
  } catch (error) {
    return error.name === "DataError";
  }
}

/** Verify a signature over bytes. */
export async function verify(publicKey, message, signature) {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  const point = signature.subarray(0, 32);
  const isCanonical = isBelow(withoutSign(publicKey), P) && isBelow(signature.subarray(32), ORDER);
  if (!isCanonical || hasSmallOrder(publicKey) || hasSmallOrder(point)) return false;
  try {
    const key = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, message);
  } catch {
    return false;
  }
}
