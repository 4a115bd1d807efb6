package fedcoin.client;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** SHA-256, signing digests and Merkle trees (docs/PROTOCOL.md, sections 2 and 3). */
public final class Hashes {
  /** The length of a hash in bytes. */
  public static final int BYTES = 32;

  private Hashes() {}

  /** Hashes the concatenation of some parts. */
  public static byte[] sha256(byte[]... parts) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      for (byte[] part : parts) {
        digest.update(part);
      }
      return digest.digest();
    } catch (NoSuchAlgorithmException impossible) {
      throw new AssertionError(impossible); // every Java platform has SHA-256
    }
  }

  /** Returns what is signed: SHA-256(context || 00 || genesis hash || body). */
  public static byte[] digest(String context, byte[] genesisHash, byte[] body) {
    return sha256(label(context), genesisHash, body);
  }

  /** Returns a label and the zero byte that follows it. */
  static byte[] label(String text) {
    return (text + "\0").getBytes(StandardCharsets.US_ASCII);
  }

  /** Hashes the data of a leaf (RFC 6962, section 2.1). */
  public static byte[] leaf(byte[] data) {
    return sha256(new byte[] {0}, data);
  }

  private static byte[] node(byte[] left, byte[] right) {
    return sha256(new byte[] {1}, left, right);
  }

  /** Returns the root over leaves whose hashes are given. */
  public static byte[] merkleRoot(List<byte[]> leafHashes) {
    if (leafHashes.isEmpty()) {
      return sha256();
    }
    List<byte[]> level = leafHashes;
    while (level.size() > 1) {
      List<byte[]> parents = new ArrayList<>();
      for (int i = 0; i < level.size(); i += 2) {
        boolean hasSibling = i + 1 < level.size();
        // A node without a sibling moves up unchanged.
        parents.add(hasSibling ? node(level.get(i), level.get(i + 1)) : level.get(i));
      }
      level = parents;
    }
    return level.get(0);
  }

  /**
   * Tells whether a path, from the leaf up, leads to a root.
   *
   * @param index the leaf's index, of {@code count} leaves.
   */
  public static boolean isOnPath(byte[] leaf, long index, long count, List<byte[]> path, byte[] root) {
    if (index >= count) {
      return false;
    }
    byte[] value = leaf(leaf);
    int used = 0;
    for (; count > 1; index /= 2, count = (count + 1) / 2) {
      boolean isRight = index % 2 == 1;
      if (!isRight && index + 1 >= count) {
        continue;
      }
      if (used == path.size() || path.get(used).length != BYTES) {
        return false;
      }
      byte[] sibling = path.get(used++);
      value = isRight ? node(sibling, value) : node(value, sibling);
    }
    return used == path.size() && Arrays.equals(value, root);
  }
}
