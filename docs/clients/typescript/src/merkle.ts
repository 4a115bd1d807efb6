import { sha256 } from "./keys.js";

/** Hashes the data of a leaf (RFC 6962, section 2.1). */
export function leafHash(data: Uint8Array): Buffer {
  return sha256("\0", data);
}

function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return sha256("\x01", left, right);
}

/** Returns the root over leaves whose hashes are given. */
export function merkleRoot(hashes: readonly Uint8Array[]): Buffer {
  let level: Buffer[] = hashes.map((hash) => Buffer.from(hash));
  while (level.length > 1) {
    const parents: Buffer[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i]!, level[i + 1]];
      parents.push(right === undefined ? left : nodeHash(left, right)); // without a sibling it moves up unchanged
    }
    level = parents;
  }
  return level[0] ?? sha256();
}

/** Tells whether a path, from the leaf up, leads from the leaf with this index, of `count` leaves, to a root. */
export function isOnPath(
  leaf: Uint8Array,
  index: number,
  count: number,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (index >= count) return false;
  let value = leafHash(leaf);
  let used = 0;
  for (let [i, n] = [index, count]; n > 1; [i, n] = [Math.floor(i / 2), Math.ceil(n / 2)]) {
    const isRight = i % 2 === 1;
    if (!isRight && i + 1 >= n) continue;
    const sibling = path[used++];
    if (sibling?.length !== 32) return false;
    value = isRight ? nodeHash(sibling, value) : nodeHash(value, sibling);
  }
  return used === path.length && value.equals(root);
}
