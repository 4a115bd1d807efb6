package fedcoin.client;

import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Locale;

/**
 * An account's address: the first 20 bytes of SHA-256 of its public key. Its text is bech32m (BIP-350) with the prefix
 * {@code fc}.
 */
public record Address(byte[] bytes) {
  private static final int BYTES = 20;
  private static final String PREFIX = "fc";
  private static final String ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
  private static final int[] GENERATOR = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
  private static final int BECH32M = 0x2bc830a3;
  private static final int CHECKSUM = 6;
  private static final int MAX_LENGTH = 90;

  /** Checks the length. */
  public Address {
    if (bytes.length != BYTES) {
      throw new IllegalArgumentException("an address has " + BYTES + " bytes, not " + bytes.length);
    }
  }

  /** Returns the address of a public key. */
  public static Address of(byte[] publicKey) {
    return new Address(Arrays.copyOf(Hashes.sha256(publicKey), BYTES));
  }

  /** Reads an address, in lower or upper case. */
  public static Address parse(String text) {
    String lower = text.toLowerCase(Locale.ROOT);
    boolean isMixed = !text.equals(lower) && !text.equals(text.toUpperCase(Locale.ROOT));
    int one = lower.lastIndexOf('1');
    if (isMixed || text.length() > MAX_LENGTH || !lower.substring(0, Math.max(one, 0)).equals(PREFIX)) {
      throw refusal(text, "it must begin with fc1 and have one case");
    }
    int[] values = lower.substring(one + 1).chars().map(ALPHABET::indexOf).toArray();
    if (values.length < CHECKSUM || Arrays.stream(values).anyMatch(value -> value < 0)) {
      throw refusal(text, "it has a character that bech32m does not use");
    }
    if (polymod(values) != BECH32M) {
      throw refusal(text, "its checksum is wrong");
    }
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    int held = 0;
    int bits = 0;
    for (int value : Arrays.copyOf(values, values.length - CHECKSUM)) {
      held = held << 5 | value;
      bits += 5;
      if (bits >= 8) {
        bits -= 8;
        bytes.write(held >> bits);
      }
      held &= (1 << bits) - 1;
    }
    if (bits >= 5 || held != 0 || bytes.size() != BYTES) {
      throw refusal(text, "it must hold " + BYTES + " bytes");
    }
    return new Address(bytes.toByteArray());
  }

  private static IllegalArgumentException refusal(String text, String why) {
    return new IllegalArgumentException("\"" + text + "\" is not an address: " + why);
  }

  /** Writes the address in bech32m. */
  @Override
  public String toString() {
    int[] values = new int[BYTES * 8 / 5 + CHECKSUM];
    for (int i = 0; i < BYTES * 8; i++) {
      values[i / 5] = values[i / 5] << 1 | bytes[i / 8] >> 7 - i % 8 & 1;
    }
    int check = polymod(values) ^ BECH32M;
    for (int i = 0; i < CHECKSUM; i++) {
      values[values.length - 1 - i] = check >> 5 * i & 31;
    }
    StringBuilder text = new StringBuilder(PREFIX + "1");
    Arrays.stream(values).forEach(value -> text.append(ALPHABET.charAt(value)));
    return text.toString();
  }

  private static int polymod(int[] values) {
    int check = 1;
    for (int i = 0; i < PREFIX.length(); i++) {
      check = step(check, PREFIX.charAt(i) >> 5);
    }
    check = step(check, 0);
    for (int i = 0; i < PREFIX.length(); i++) {
      check = step(check, PREFIX.charAt(i) & 31);
    }
    for (int value : values) {
      check = step(check, value);
    }
    return check;
  }

  private static int step(int check, int value) {
    int top = check >>> 25;
    int next = (check & 0x1ffffff) << 5 ^ value;
    for (int i = 0; i < GENERATOR.length; i++) {
      next ^= (top >> i & 1) == 1 ? GENERATOR[i] : 0;
    }
    return next;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Address address && Arrays.equals(bytes, address.bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }

  /** Writes the bytes in hex. */
  public String hex() {
    return HexFormat.of().formatHex(bytes);
  }
}
