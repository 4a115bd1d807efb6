package fedcoin.client;

import com.google.protobuf.ByteString;
import com.google.protobuf.Message;
import com.google.protobuf.Parser;
import fedcoin.v1.BlockHeader;
import fedcoin.v1.PaymentProof;
import fedcoin.v1.PaymentReceipt;
import fedcoin.v1.Receipt;
import fedcoin.v1.ValidatorChange;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;

/**
 * Follows the changes of the validators from a genesis on, by their certificates alone. It is right as long as no
 * validator set on the path ever signs a false chain with more than two thirds of its power.
 */
public final class TrustPath {
  /** A payment and the block that made it, both proved. */
  public record ProvedPayment(byte[] blockHash, BlockHeader header, PaymentReceipt payment) {}

  private final Genesis genesis;
  private final TreeMap<Long, List<Validator>> validatorsSince = new TreeMap<>();

  /** Begins at a genesis. */
  public TrustPath(Genesis genesis) {
    this.genesis = genesis;
    validatorsSince.put(1L, genesis.validators());
  }

  /** Checks the next change of the validators, as ListValidatorChanges returns it, and takes it over. */
  public void follow(ValidatorChange change) throws ProofException {
    BlockHeader header = certified(change.getHeader(), change.getCertificate());
    if (header.getHeight() < validatorsSince.lastKey()) {
      throw new ProofException("MALFORMED", "the change is not above the one before");
    }
    List<Validator> validators;
    try {
      validators =
          Validator.checked(
              change.getValidatorsList().stream()
                  .map(each -> new Validator(each.getPublicKey().toByteArray(), each.getPower()))
                  .toList());
    } catch (IllegalArgumentException error) {
      throw new ProofException("MALFORMED", error.getMessage());
    }
    if (!Arrays.equals(Validator.hashOf(validators), header.getNextValidatorsHash().toByteArray())) {
      throw new ProofException("WRONG_VALIDATORS_HASH", "the header commits to other validators");
    }
    validatorsSince.put(header.getHeight() + 1, validators);
  }

  /** Checks a proof, as GetPaymentProof returns it. The payment is read from the receipt that the path proves. */
  public ProvedPayment check(PaymentProof proof) throws ProofException {
    BlockHeader header = certified(proof.getHeader(), proof.getCertificate());
    List<byte[]> path = proof.getPathList().stream().map(ByteString::toByteArray).toList();
    byte[] root = header.getReceiptsRoot().toByteArray();
    long index = Integer.toUnsignedLong(proof.getIndex());
    long count = Integer.toUnsignedLong(proof.getCount());
    if (!Hashes.isOnPath(proof.getReceipt().toByteArray(), index, count, path, root)) {
      throw new ProofException("BAD_ROOT", "the path does not lead to the header's receipts_root");
    }
    Receipt receipt = read(Receipt.parser(), proof.getReceipt());
    if (!receipt.hasPayment()) {
      throw new ProofException("MALFORMED", "the receipt is not of a payment");
    }
    return new ProvedPayment(Hashes.sha256(proof.getHeader().toByteArray()), header, receipt.getPayment());
  }

  private BlockHeader certified(ByteString raw, ByteString certificate) throws ProofException {
    BlockHeader header = read(BlockHeader.parser(), raw);
    if (!header.getChainId().equals(genesis.chainId())) {
      throw new ProofException("WRONG_CHAIN", "the header is of chain " + header.getChainId());
    }
    // A height of 0, or above 2^63, has no validators.
    var since = validatorsSince.floorEntry(header.getHeight());
    byte[] hash = Hashes.sha256(raw.toByteArray());
    List<Validator> validators = since == null ? List.of() : since.getValue();
    Validator.verifyCertificate(certificate.toByteArray(), validators, genesis.hash(), header.getHeight(), hash);
    return header;
  }

  private static <M extends Message> M read(Parser<M> parser, ByteString raw) throws ProofException {
    try {
      return Canonical.decode(parser, raw.toByteArray());
    } catch (Canonical.EncodingException error) {
      throw new ProofException("MALFORMED", error.getMessage());
    }
  }
}
