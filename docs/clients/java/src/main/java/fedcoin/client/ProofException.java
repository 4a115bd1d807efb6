package fedcoin.client;

/** What is wrong with a proof: a code of docs/PROTOCOL.md, section 19. */
public final class ProofException extends Exception {
  private static final long serialVersionUID = 1;

  private final String code;

  ProofException(String code, String message) {
    super(message);
    this.code = code;
  }

  /** Returns the code, such as BAD_CERTIFICATE. */
  public String code() {
    return code;
  }
}
