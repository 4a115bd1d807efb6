package fedcoin.client;

import fedcoin.v1.Certificate;
import fedcoin.v1.SignedVote;
import fedcoin.v1.Vote;
import fedcoin.v1.VoteKind;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * A validator, which votes with the power of its bond.
 *
 * @param power in sap, from 1 to 2^63 - 1.
 */
public record Validator(byte[] publicKey, long power) {
  /** Checks that each validator comes once, with a key and a power. */
  static List<Validator> checked(List<Validator> validators) {
    long keys = validators.stream().map(each -> HexFormat.of().formatHex(each.publicKey)).distinct().count();
    boolean isBad = validators.stream().anyMatch(each -> each.publicKey.length != 32 || each.power <= 0);
    if (isBad || keys != validators.size()) {
      throw new IllegalArgumentException("each validator comes once, with a key of 32 bytes and a power");
    }
    return validators;
  }

  /** Returns the hash of the validators to which headers commit. */
  public static byte[] hashOf(List<Validator> validators) {
    List<Validator> ordered =
        validators.stream()
            .sorted(Comparator.comparing(each -> Address.of(each.publicKey).bytes(), Arrays::compareUnsigned))
            .toList();
    byte[] label = Hashes.label("fedcoin/validators/v1");
    ByteBuffer hashed = ByteBuffer.allocate(label.length + 4 + ordered.size() * 40);
    hashed.put(label).putInt(ordered.size());
    ordered.forEach(each -> hashed.put(each.publicKey).putLong(each.power));
    return Hashes.sha256(hashed.array());
  }

  /**
   * Checks that a serialised Certificate makes a block final: precommits for it in one round, in the order of their
   * keys, by validators with more than two thirds of the power.
   *
   * @return the round.
   */
  public static int verifyCertificate(
      byte[] raw, List<Validator> validators, byte[] genesisHash, long height, byte[] blockHash)
      throws ProofException {
    List<SignedVote> precommits;
    Vote vote;
    try {
      precommits = Canonical.decode(Certificate.parser(), raw).getPrecommitsList();
      checkPower(precommits, validators);
      vote = Canonical.decode(Vote.parser(), precommits.get(0).getBody().toByteArray());
    } catch (Canonical.EncodingException error) {
      throw bad("cannot be read: " + error.getMessage());
    }
    boolean isForBlock = vote.getHeight() == height && Arrays.equals(vote.getBlockHash().toByteArray(), blockHash);
    if (vote.getKind() != VoteKind.VOTE_KIND_PRECOMMIT || !isForBlock || vote.getAudited()) {
      throw bad("is for something else");
    }
    for (SignedVote each : precommits) {
      byte[] body = each.getBody().toByteArray();
      byte[] signature = each.getSignature().toByteArray();
      if (!Key.isSigned(each.getPublicKey().toByteArray(), Key.VOTE, genesisHash, body, signature)) {
        throw bad("has a wrong signature");
      }
    }
    return vote.getRound();
  }

  private static void checkPower(List<SignedVote> precommits, List<Validator> validators) throws ProofException {
    Map<String, Long> powers = new HashMap<>();
    BigInteger total = BigInteger.ZERO;
    for (Validator each : validators) {
      powers.put(HexFormat.of().formatHex(each.publicKey), each.power);
      total = total.add(BigInteger.valueOf(each.power));
    }
    BigInteger power = BigInteger.ZERO;
    String before = "";
    for (SignedVote each : precommits) {
      String key = HexFormat.of().formatHex(each.getPublicKey().toByteArray());
      if (!powers.containsKey(key) || key.compareTo(before) <= 0) {
        throw bad("has " + key + ", which is no validator's or out of order");
      }
      if (!each.getBody().equals(precommits.get(0).getBody())) {
        throw bad("has precommits that differ");
      }
      power = power.add(BigInteger.valueOf(powers.get(key)));
      before = key;
    }
    if (power.multiply(BigInteger.valueOf(3)).compareTo(total.shiftLeft(1)) <= 0) {
      throw bad("has " + power + " of " + total + " of the power");
    }
  }

  private static ProofException bad(String why) {
    return new ProofException("BAD_CERTIFICATE", "the certificate " + why);
  }
}
