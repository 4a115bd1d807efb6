package fedcoin.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.HexFormat;
import org.bouncycastle.crypto.params.Ed25519PrivateKeyParameters;
import org.bouncycastle.crypto.params.Ed25519PublicKeyParameters;
import org.bouncycastle.crypto.signers.Ed25519Signer;

/** Signs with Ed25519 (RFC 8032). Java's own Ed25519 cannot derive a public key from a seed; Bouncy Castle does. */
public final class Key {
  /** The contexts that separate signatures of different kinds of messages. */
  public static final String TRANSACTION = "fedcoin/tx/v2";

  /** The context of votes. */
  public static final String VOTE = "fedcoin/vote/v2";

  private static final int SEED_BYTES = 32;
  private static final int PUBLIC_KEY_BYTES = 32;
  private static final int SIGNATURE_BYTES = 64;

  private final Ed25519PrivateKeyParameters secret;

  /** Makes the key of a seed of 32 bytes. */
  public Key(byte[] seed) {
    if (seed.length != SEED_BYTES) {
      throw new IllegalArgumentException("the seed has " + seed.length + " bytes; it must have " + SEED_BYTES);
    }
    secret = new Ed25519PrivateKeyParameters(seed);
  }

  /** Reads a key's seed, in hex, from a file; makes a key and its file when there is none. */
  public static Key load(Path file) throws IOException {
    if (!Files.exists(file)) {
      byte[] seed = new byte[SEED_BYTES];
      new SecureRandom().nextBytes(seed);
      var ownerOnly = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));
      Files.createFile(file, ownerOnly);
      Files.writeString(file, HexFormat.of().formatHex(seed));
    }
    return new Key(HexFormat.of().parseHex(Files.readString(file).strip()));
  }

  /** Returns the public key, 32 bytes. */
  public byte[] publicKey() {
    return secret.generatePublicKey().getEncoded();
  }

  /** Returns the key's address. */
  public Address address() {
    return Address.of(publicKey());
  }

  /** Signs a body in a context, for the network with this genesis hash. */
  public byte[] sign(String context, byte[] genesisHash, byte[] body) {
    byte[] digest = Hashes.digest(context, genesisHash, body);
    Ed25519Signer signer = new Ed25519Signer();
    signer.init(true, secret);
    signer.update(digest, 0, digest.length);
    return signer.generateSignature();
  }

  /** Tells whether a signature of a body is valid. */
  public static boolean isSigned(
      byte[] publicKey, String context, byte[] genesisHash, byte[] body, byte[] signature) {
    if (publicKey.length != PUBLIC_KEY_BYTES || signature.length != SIGNATURE_BYTES) {
      return false;
    }
    byte[] digest = Hashes.digest(context, genesisHash, body);
    Ed25519Signer signer = new Ed25519Signer();
    try {
      signer.init(false, new Ed25519PublicKeyParameters(publicKey));
    } catch (IllegalArgumentException notAPoint) {
      return false;
    }
    signer.update(digest, 0, digest.length);
    return signer.verifySignature(signature);
  }
}
