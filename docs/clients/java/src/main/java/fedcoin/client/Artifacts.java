package fedcoin.client;

import com.google.protobuf.ByteString;
import fedcoin.v1.ArtifactChunk;
import fedcoin.v1.ArtifactManifest;
import fedcoin.v1.ArtifactUploadServiceGrpc;
import fedcoin.v1.DownloadResponse;
import fedcoin.v1.GetUploadStatusRequest;
import fedcoin.v1.GetUploadStatusResponse;
import fedcoin.v1.UploadRequest;
import fedcoin.v1.UploadResponse;
import io.grpc.Channel;
import io.grpc.Status;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** Artifacts in chunks (docs/PROTOCOL.md, section 14). */
public final class Artifacts {
  /** The size of a chunk; the last one may be shorter. */
  public static final int CHUNK_BYTES = 262_144;

  private Artifacts() {}

  /** Cuts an artifact into chunks and hashes them. */
  public static ArtifactManifest manifestOf(byte[] data) {
    List<byte[]> hashes = new ArrayList<>();
    for (int at = 0; at < data.length; at += CHUNK_BYTES) {
      hashes.add(Hashes.leaf(Arrays.copyOfRange(data, at, Math.min(at + CHUNK_BYTES, data.length))));
    }
    return ArtifactManifest.newBuilder()
        .setId(ByteString.copyFrom(Hashes.merkleRoot(hashes)))
        .setSize(data.length)
        .addAllChunkHashes(hashes.stream().map(ByteString::copyFrom).toList())
        .build();
  }

  static void checkManifest(ArtifactManifest manifest, byte[] id) {
    List<byte[]> hashes = manifest.getChunkHashesList().stream().map(ByteString::toByteArray).toList();
    if (!Arrays.equals(Hashes.merkleRoot(hashes), id)) {
      throw new IllegalStateException("the manifest is of another artifact");
    }
  }

  static void checkChunk(ArtifactManifest manifest, int index, DownloadResponse chunk) {
    boolean isExpected = chunk.getIndex() == index && index < manifest.getChunkHashesCount();
    byte[] hash = Hashes.leaf(chunk.getData().toByteArray());
    if (!isExpected || !Arrays.equals(hash, manifest.getChunkHashes(index).toByteArray())) {
      throw new IllegalStateException("the node sent a wrong chunk " + chunk.getIndex());
    }
  }

  /** Sends the chunks that the node lacks, as fast as it takes them, and returns the artifact's id. */
  static byte[] upload(
      ArtifactUploadServiceGrpc.ArtifactUploadServiceBlockingStub stub,
      Channel channel,
      ArtifactManifest manifest,
      byte[] data) {
    GetUploadStatusResponse status =
        stub.getUploadStatus(GetUploadStatusRequest.newBuilder().setId(manifest.getId()).build());
    if (!status.getComplete()) {
      Upload upload = new Upload(manifest, data, status.getNextChunk());
      ArtifactUploadServiceGrpc.newStub(channel).upload(upload);
      try {
        upload.done.join();
      } catch (CompletionException error) {
        throw Status.fromThrowable(error.getCause()).asRuntimeException(Status.trailersFromThrowable(error.getCause()));
      }
    }
    return manifest.getId().toByteArray();
  }

  /** Sends the manifest and then chunks, whenever gRPC is ready for one. */
  private static final class Upload implements ClientResponseObserver<UploadRequest, UploadResponse> {
    private final CompletableFuture<Void> done = new CompletableFuture<>();
    private final ArtifactManifest manifest;
    private final byte[] data;
    private int next;
    private boolean isBegun;
    private boolean isEnded;

    Upload(ArtifactManifest manifest, byte[] data, int next) {
      this.manifest = manifest;
      this.data = data;
      this.next = next;
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<UploadRequest> requests) {
      requests.setOnReadyHandler(
          () -> {
            while (requests.isReady() && !isEnded) {
              sendNext(requests);
            }
          });
    }

    private void sendNext(ClientCallStreamObserver<UploadRequest> requests) {
      if (!isBegun) {
        isBegun = true;
        requests.onNext(UploadRequest.newBuilder().setManifest(manifest).build());
      } else if (next < manifest.getChunkHashesCount()) {
        int at = next * CHUNK_BYTES;
        ByteString part = ByteString.copyFrom(data, at, Math.min(CHUNK_BYTES, data.length - at));
        requests.onNext(
            UploadRequest.newBuilder().setChunk(ArtifactChunk.newBuilder().setIndex(next++).setData(part)).build());
      } else {
        isEnded = true;
        requests.onCompleted();
      }
    }

    @Override
    public void onNext(UploadResponse reply) {}

    @Override
    public void onError(Throwable error) {
      done.completeExceptionally(error);
    }

    @Override
    public void onCompleted() {
      done.complete(null);
    }
  }
}
