package fedcoin.client;

import com.google.protobuf.CodedOutputStream;
import com.google.protobuf.DiscardUnknownFieldsParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.Parser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;

/** The one encoding of a message that nodes accept for what is hashed or signed. */
public final class Canonical {
  private Canonical() {}

  /** Bytes are not the canonical encoding of a message. */
  public static final class EncodingException extends Exception {
    private static final long serialVersionUID = 1;

    EncodingException(String message) {
      super(message);
    }
  }

  /** Encodes a message. */
  public static byte[] encode(Message message) {
    byte[] raw = new byte[message.getSerializedSize()];
    CodedOutputStream out = CodedOutputStream.newInstance(raw);
    out.useDeterministicSerialization();
    try {
      message.writeTo(out);
    } catch (IOException impossible) {
      throw new UncheckedIOException(impossible); // the array has the message's size
    }
    return raw;
  }

  /** Reads a message from its canonical encoding, and refuses any other bytes. */
  public static <M extends Message> M decode(Parser<M> parser, byte[] raw) throws EncodingException {
    M message;
    try {
      message = DiscardUnknownFieldsParser.wrap(parser).parseFrom(raw);
    } catch (InvalidProtocolBufferException error) {
      throw new EncodingException("not an encoding of the message: " + error.getMessage());
    }
    if (!Arrays.equals(encode(message), raw)) {
      throw new EncodingException("not in the canonical encoding");
    }
    return message;
  }
}
