package fedcoin.client;

import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.protobuf.ByteString;
import fedcoin.v1.AccountView;
import fedcoin.v1.ArtifactManifest;
import fedcoin.v1.ArtifactServiceGrpc;
import fedcoin.v1.ArtifactUploadServiceGrpc;
import fedcoin.v1.BlockView;
import fedcoin.v1.DownloadRequest;
import fedcoin.v1.DownloadResponse;
import fedcoin.v1.GetAccountRequest;
import fedcoin.v1.GetFeesRequest;
import fedcoin.v1.GetFeesResponse;
import fedcoin.v1.GetManifestRequest;
import fedcoin.v1.GetPaymentProofRequest;
import fedcoin.v1.GetStatusRequest;
import fedcoin.v1.GetStatusResponse;
import fedcoin.v1.ListBlocksRequest;
import fedcoin.v1.ListBlocksResponse;
import fedcoin.v1.ListValidatorChangesRequest;
import fedcoin.v1.ListValidatorChangesResponse;
import fedcoin.v1.NodeServiceGrpc;
import fedcoin.v1.PaymentProof;
import fedcoin.v1.ShapleyTaskServiceGrpc;
import fedcoin.v1.SignedTransaction;
import fedcoin.v1.SubmitTransactionRequest;
import fedcoin.v1.TransactionBody;
import fedcoin.v1.TransactionServiceGrpc;
import fedcoin.v1.TransactionView;
import fedcoin.v1.Transfer;
import fedcoin.v1.TransferOutput;
import fedcoin.v1.ValidatorChange;
import fedcoin.v1.WatchEventsRequest;
import fedcoin.v1.WatchEventsResponse;
import fedcoin.v1.WatchTransactionRequest;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.Context;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** Calls one node. Failed calls throw StatusRuntimeException, whose details {@link Refusal} reads. */
public final class Client implements AutoCloseable {
  private static final long CALL_SECONDS = 60;
  private static final long MIN_PAUSE_MS = 200;
  private static final long MAX_PAUSE_MS = 10_000;
  private static final long EXPIRY_BLOCKS = 200;
  private static final long MAX_FEE_FACTOR = 20; // of the minimum fee: more is not paid, whatever the node says

  private final ManagedChannel channel;
  private final NodeServiceGrpc.NodeServiceBlockingStub node;
  private final TransactionServiceGrpc.TransactionServiceBlockingStub transactions;
  private final ShapleyTaskServiceGrpc.ShapleyTaskServiceBlockingStub tasks;
  private final ArtifactServiceGrpc.ArtifactServiceBlockingStub artifacts;
  private final ArtifactUploadServiceGrpc.ArtifactUploadServiceBlockingStub uploads;

  /**
   * Makes a client.
   *
   * @param builder names the node; with {@code usePlaintext()} for a node on this machine, else with TLS.
   */
  public Client(ManagedChannelBuilder<?> builder) {
    // Nodes accept a ping every 5 s. Pings find out that a connection is dead.
    channel = builder.keepAliveTime(20, SECONDS).keepAliveTimeout(10, SECONDS).intercept(new Deadlines()).build();
    node = NodeServiceGrpc.newBlockingStub(channel);
    transactions = TransactionServiceGrpc.newBlockingStub(channel);
    tasks = ShapleyTaskServiceGrpc.newBlockingStub(channel);
    artifacts = ArtifactServiceGrpc.newBlockingStub(channel);
    uploads = ArtifactUploadServiceGrpc.newBlockingStub(channel);
  }

  /** Gives each call with a single reply a deadline; streams have none. */
  private static final class Deadlines implements ClientInterceptor {
    @Override
    public <Q, R> ClientCall<Q, R> interceptCall(MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
      boolean isUnary = method.getType() == MethodDescriptor.MethodType.UNARY;
      boolean isUnlimited = isUnary && options.getDeadline() == null;
      return next.newCall(method, isUnlimited ? options.withDeadlineAfter(CALL_SECONDS, SECONDS) : options);
    }
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }

  /** Returns the stub for tasks and payments. */
  public ShapleyTaskServiceGrpc.ShapleyTaskServiceBlockingStub tasks() {
    return tasks;
  }

  /** Returns the node's identity, height and more. */
  public GetStatusResponse status() {
    return node.getStatus(GetStatusRequest.getDefaultInstance());
  }

  /** Lists the blocks that the node keeps, the highest first, by pages. */
  public Stream<BlockView> blocks(int pageSize) {
    return pages(
        token -> node.listBlocks(ListBlocksRequest.newBuilder().setPageSize(pageSize).setPageToken(token).build()),
        ListBlocksResponse::getBlocksList,
        ListBlocksResponse::getNextPageToken);
  }

  /** Lists the blocks that changed the validators, the lowest first. */
  public Stream<ValidatorChange> validatorChanges() {
    return pages(
        token -> node.listValidatorChanges(ListValidatorChangesRequest.newBuilder().setPageToken(token).build()),
        ListValidatorChangesResponse::getChangesList,
        ListValidatorChangesResponse::getNextPageToken);
  }

  private static <P, T> Stream<T> pages(
      Function<String, P> fetch, Function<P, List<T>> items, Function<P, String> nextToken) {
    return Stream.iterate(
            fetch.apply(""),
            page -> page != null,
            page -> nextToken.apply(page).isEmpty() ? null : fetch.apply(nextToken.apply(page)))
        .flatMap(page -> items.apply(page).stream());
  }

  /**
   * Passes on the events of each block from a height on, in order and without a gap; 0 means the next new block. When
   * the stream breaks, it calls again with growing pauses and continues behind the last block.
   *
   * @param wantsMore takes each block's events, and returns false to end.
   */
  public void watch(long fromHeight, Predicate<WatchEventsResponse> wantsMore) throws InterruptedException {
    watch(fromHeight, List.of(), wantsMore);
  }

  /**
   * Passes on the events of the blocks that concern one of up to 16 addresses, with these events alone, and of each
   * hundredth block; else like {@link #watch(long, Predicate)}.
   *
   * @param addresses as people write them; none for all events of all blocks.
   * @param wantsMore takes each block's events, and returns false to end.
   */
  public void watch(long fromHeight, List<String> addresses, Predicate<WatchEventsResponse> wantsMore)
      throws InterruptedException {
    // A height of its own: a stream that breaks before its first block must not skip one.
    long[] next = {fromHeight > 0 ? fromHeight : persistently(this::status).getHeight() + 1};
    persistently(
        pause -> {
          Context.CancellableContext context = Context.current().withCancellation();
          Context previous = context.attach();
          try {
            var request = WatchEventsRequest.newBuilder().setFromHeight(next[0]).addAllAddresses(addresses).build();
            for (Iterator<WatchEventsResponse> events = node.watchEvents(request); events.hasNext(); ) {
              WatchEventsResponse found = events.next();
              next[0] = found.getBlock().getHeight() + 1;
              pause.reset();
              if (!wantsMore.test(found)) {
                return true;
              }
            }
            throw io.grpc.Status.UNAVAILABLE.withDescription("the node ended the stream").asRuntimeException();
          } finally {
            context.detach(previous);
            context.cancel(null);
          }
        });
  }

  /** Stores an artifact, which must not be empty, and returns its id. Continues after a break. */
  public byte[] upload(byte[] data) throws InterruptedException {
    ArtifactManifest manifest = Artifacts.manifestOf(data);
    return persistently(() -> Artifacts.upload(uploads, channel, manifest, data));
  }

  /** Fetches an artifact and checks every chunk. Continues after a break. */
  public byte[] download(byte[] id, long maxBytes) throws InterruptedException {
    ArtifactManifest manifest =
        artifacts.getManifest(GetManifestRequest.newBuilder().setId(ByteString.copyFrom(id)).build()).getManifest();
    Artifacts.checkManifest(manifest, id);
    if (manifest.getSize() > maxBytes) {
      throw new IllegalStateException("the artifact has " + manifest.getSize() + " bytes, too many");
    }
    ByteArrayOutputStream data = new ByteArrayOutputStream((int) manifest.getSize());
    persistently(
        () -> {
          int next = data.size() / Artifacts.CHUNK_BYTES;
          var request = DownloadRequest.newBuilder().setId(manifest.getId()).setFirstChunk(next).build();
          for (Iterator<DownloadResponse> chunks = artifacts.download(request); chunks.hasNext(); next++) {
            DownloadResponse chunk = chunks.next();
            Artifacts.checkChunk(manifest, next, chunk);
            data.writeBytes(chunk.getData().toByteArray());
          }
          return data;
        });
    if (data.size() != manifest.getSize()) {
      throw new IllegalStateException("the node sent too few bytes");
    }
    return data.toByteArray();
  }

  /** Signs a transfer of an amount in sap, submits it, and returns when it is final. */
  public TransactionView send(Key key, Genesis genesis, Address to, long amount) throws InterruptedException {
    var account = GetAccountRequest.newBuilder().setAddress(key.address().toString()).build();
    AccountView own = node.getAccount(account).getAccount();
    GetFeesResponse fees = node.getFees(GetFeesRequest.getDefaultInstance());
    var output = TransferOutput.newBuilder().setRecipient(ByteString.copyFrom(to.bytes())).setAmount(amount);
    TransactionBody body =
        TransactionBody.newBuilder()
            .setChainId(genesis.chainId())
            .setNonce(own.getNonce())
            .setFee(chooseFee(fees))
            .setExpiryHeight(status().getHeight() + Math.min(fees.getMaxExpiryBlocks(), EXPIRY_BLOCKS))
            .setTransfer(Transfer.newBuilder().addOutputs(output))
            .build();
    return submit(signTransaction(key, genesis.hash(), Canonical.encode(body)));
  }

  /** The lowest fee with which a transfer with one output, which has less than one KiB, is in the next block. */
  private static long chooseFee(GetFeesResponse fees) {
    long minimum = fees.getBaseFee() + fees.getFeePerKib();
    long wanted = Math.max(minimum, Math.max(fees.getMempoolFeeRate(), fees.getNextBlockFeeRate()));
    return Math.min(wanted, MAX_FEE_FACTOR * minimum);
  }

  /** Signs a serialised body, and returns the serialised SignedTransaction. */
  public static byte[] signTransaction(Key key, byte[] genesisHash, byte[] body) {
    return Canonical.encode(
        SignedTransaction.newBuilder()
            .setBody(ByteString.copyFrom(body))
            .setPublicKey(ByteString.copyFrom(key.publicKey()))
            .setSignature(ByteString.copyFrom(key.sign(Key.TRANSACTION, genesisHash, body)))
            .build());
  }

  /**
   * Submits a serialised SignedTransaction, and returns when it is final. Submitting the same bytes again is safe.
   *
   * @throws IllegalStateException when it was dropped.
   */
  public TransactionView submit(byte[] transaction) throws InterruptedException {
    var submission = SubmitTransactionRequest.newBuilder().setTransaction(ByteString.copyFrom(transaction)).build();
    String hash = transactions.submitTransaction(submission).getHash();
    var request = WatchTransactionRequest.newBuilder().setHash(hash).build();
    return persistently(
        () -> {
          for (var states = transactions.watchTransaction(request); states.hasNext(); ) {
            TransactionView view = states.next().getTransaction();
            switch (view.getStatus()) {
              case TRANSACTION_STATUS_FINAL:
                return view;
              case TRANSACTION_STATUS_DROPPED:
                throw new IllegalStateException(hash + " was dropped: " + view.getReason());
              default:
            }
          }
          throw io.grpc.Status.UNAVAILABLE.withDescription("the node ended the stream").asRuntimeException();
        });
  }

  /**
   * Asks for the proofs of a task's payments to an address, and checks them by the genesis alone. It proves that these
   * payments were made, not that there were no others.
   */
  public List<TrustPath.ProvedPayment> provePayments(Genesis genesis, String taskId, Address to)
      throws ProofException {
    var request = GetPaymentProofRequest.newBuilder().setTaskId(taskId).setAddress(to.toString()).build();
    List<PaymentProof> proofs = tasks.getPaymentProof(request).getProofsList();
    TrustPath trust = new TrustPath(genesis);
    for (ValidatorChange change : validatorChanges().toList()) {
      trust.follow(change);
    }
    List<TrustPath.ProvedPayment> proved = new ArrayList<>();
    byte[] task = HexFormat.of().parseHex(taskId);
    for (PaymentProof proof : proofs) {
      TrustPath.ProvedPayment payment = trust.check(proof);
      boolean isAsked =
          Arrays.equals(payment.payment().getTaskId().toByteArray(), task)
              && Arrays.equals(payment.payment().getAddress().toByteArray(), to.bytes());
      if (!isAsked) {
        throw new ProofException("MALFORMED", "the node proved another payment than the one that was asked for");
      }
      proved.add(payment);
    }
    return proved;
  }

  /** An action that may be repeated. */
  private interface Action<T> {
    T run(Pause pause);
  }

  private static <T> T persistently(java.util.function.Supplier<T> action) throws InterruptedException {
    return persistently(pause -> action.get());
  }

  /** Repeats an action while repeating can help. */
  private static <T> T persistently(Action<T> action) throws InterruptedException {
    Pause pause = new Pause();
    while (true) {
      try {
        return action.run(pause);
      } catch (StatusRuntimeException error) {
        if (!Refusal.of(error).isPassing()) {
          throw error;
        }
      }
      pause.sleep();
    }
  }

  /** A pause that grows with each failure in a row. */
  private static final class Pause {
    private long ms = MIN_PAUSE_MS / 2;

    void reset() {
      ms = MIN_PAUSE_MS / 2;
    }

    void sleep() throws InterruptedException {
      ms = Math.min(2 * ms, MAX_PAUSE_MS);
      MILLISECONDS.sleep(ms / 2 + ThreadLocalRandom.current().nextLong(ms / 2));
    }
  }
}
