package fedcoin.client;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.util.JsonFormat;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;

/**
 * What a network's genesis.json says. Take the file from somebody you trust, not from a node.
 *
 * @param hash SHA-256 of the file's exact bytes. Every signature covers it.
 * @param validators the validators of height 1.
 */
public record Genesis(String chainId, byte[] hash, List<Validator> validators) {
  /** Reads the bytes of a genesis file. */
  public static Genesis parse(byte[] raw) throws InvalidProtocolBufferException {
    fedcoin.v1.Genesis.Builder message = fedcoin.v1.Genesis.newBuilder();
    JsonFormat.parser().merge(new String(raw, StandardCharsets.UTF_8), message);
    if (message.getChainId().isEmpty()) {
      throw new IllegalArgumentException("the genesis file has no chain_id");
    }
    List<Validator> validators =
        message.getValidatorsList().stream()
            .map(each -> new Validator(HexFormat.of().parseHex(each.getPublicKey()), each.getBond()))
            .toList();
    return new Genesis(message.getChainId(), Hashes.sha256(raw), Validator.checked(validators));
  }
}
