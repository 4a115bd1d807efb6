package fedcoin.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.List;
import java.util.Set;

/**
 * The details of a failed call, as a node sends them.
 *
 * @param reason the error code, and {@code domain} the layer that refused; docs/API.md lists them. Both are empty when
 *     no node answered.
 * @param field the field at fault, and {@code limit} what it broke; each may be empty.
 * @param message a sentence for people.
 */
public record Refusal(
    Status.Code status, String reason, String domain, String field, String limit, String message) {
  private static final Set<Status.Code> PASSING =
      Set.of(Status.Code.UNAVAILABLE, Status.Code.DEADLINE_EXCEEDED, Status.Code.ABORTED, Status.Code.INTERNAL);
  private static final Set<String> PASSING_REASONS = Set.of("SLOW_READER", "RATE_LIMITED", "TOO_MANY_CALLS");

  /** Reads the details of a call's error. */
  public static Refusal of(StatusRuntimeException error) {
    ErrorInfo info = ErrorInfo.getDefaultInstance();
    com.google.rpc.Status sent = StatusProto.fromThrowable(error);
    List<Any> details = sent == null ? List.of() : sent.getDetailsList();
    try {
      for (Any detail : details) {
        if (detail.is(ErrorInfo.class)) {
          info = detail.unpack(ErrorInfo.class);
        }
      }
    } catch (InvalidProtocolBufferException unreadable) {
      // The status alone must do.
    }
    String message = error.getStatus().getDescription();
    return new Refusal(
        error.getStatus().getCode(),
        info.getReason(),
        info.getDomain(),
        info.getMetadataOrDefault("field", ""),
        info.getMetadataOrDefault("limit", ""),
        message == null ? "" : message);
  }

  /** Tells whether repeating the call later can help. */
  public boolean isPassing() {
    return PASSING.contains(status) || PASSING_REASONS.contains(reason);
  }

  @Override
  public String toString() {
    return status + " (" + reason + "): " + message;
  }
}
