package fedcoin.client;

import com.google.gson.JsonObject;
import fedcoin.v1.GetTaskRequest;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusRuntimeException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What a program does with a node, one step a command; each prints lines of JSON.
 *
 * <pre>
 * status NODE                           chain id and height
 * blocks NODE PAGE_SIZE                 all blocks, the highest first, by pages
 * watch NODE FROM COUNT                 COUNT blocks from height FROM on; continues after a break
 * upload NODE FILE                      stores an artifact
 * download NODE ID FILE                 fetches it
 * error NODE                            shows the details of an error
 * send NODE GENESIS KEY ADDRESS AMOUNT  pays from the key whose seed is in the file KEY
 * prove NODE GENESIS TASK ADDRESS       checks a task's payments, trusting the genesis alone
 * </pre>
 */
public final class Tour {
  private static final long MAX_ARTIFACT_BYTES = 1L << 30;

  private Tour() {}

  /** Takes one step. */
  public static void main(String[] given) {
    if (given.length < 2) {
      System.err.println("usage: Tour STEP NODE [ARGUMENTS], see the comment in Tour.java");
      System.exit(2);
    }
    // Plaintext is only for a node on this machine. For others, leave usePlaintext() out.
    try (Client client = new Client(ManagedChannelBuilder.forTarget(given[1]).usePlaintext())) {
      step(client, given);
    } catch (StatusRuntimeException error) {
      fail(Refusal.of(error).toString());
    } catch (Exception error) {
      fail(error.getMessage());
    }
  }

  private static void fail(String message) {
    System.err.println(message);
    System.exit(1);
  }

  private static void step(Client client, String[] given) throws Exception {
    switch (given[0]) {
      case "status" -> {
        var status = client.status();
        show("chain_id", status.getChainId(), "height", status.getHeight());
      }
      case "blocks" ->
          client
              .blocks(Integer.parseInt(given[2]))
              .forEach(block -> show("height", block.getHeight(), "hash", block.getHash()));
      case "watch" -> watch(client, Long.parseLong(given[2]), Long.parseLong(given[3]));
      case "upload" -> {
        byte[] id = client.upload(Files.readAllBytes(Path.of(given[2])));
        show("id", HexFormat.of().formatHex(id));
      }
      case "download" -> {
        byte[] data = client.download(HexFormat.of().parseHex(given[2]), MAX_ARTIFACT_BYTES);
        Files.write(Path.of(given[3]), data);
        show("bytes", data.length);
      }
      case "error" -> error(client);
      case "send" -> {
        Key key = Key.load(Path.of(given[3]));
        var sent = client.send(key, genesis(given[2]), Address.parse(given[4]), Long.parseLong(given[5]));
        show("hash", sent.getHash(), "height", sent.getHeight());
      }
      case "prove" -> {
        for (var proved : client.provePayments(genesis(given[2]), given[3], Address.parse(given[4]))) {
          var payment = proved.payment();
          long height = proved.header().getHeight();
          show("height", height, "kind", payment.getKind().name(), "amount", payment.getAmount());
        }
      }
      default -> throw new IllegalArgumentException("there is no step " + given[0]);
    }
  }

  private static void watch(Client client, long from, long count) throws InterruptedException {
    AtomicLong left = new AtomicLong(count);
    client.watch(
        from,
        events -> {
          show("height", events.getBlock().getHeight(), "payments", events.getPaymentsCount());
          return left.decrementAndGet() > 0;
        });
  }

  private static void error(Client client) {
    try {
      client.tasks().getTask(GetTaskRequest.newBuilder().setTaskId("zz").build());
    } catch (StatusRuntimeException error) {
      Refusal found = Refusal.of(error);
      show(
          "status", found.status().name(), "reason", found.reason(), "domain", found.domain(),
          "field", found.field(), "limit", found.limit(), "message", found.message());
      return;
    }
    throw new IllegalStateException("the node did not refuse");
  }

  private static Genesis genesis(String file) throws Exception {
    return Genesis.parse(Files.readAllBytes(Path.of(file)));
  }

  /** Prints names and values as one line of JSON. */
  private static void show(Object... fields) {
    JsonObject line = new JsonObject();
    for (int i = 0; i < fields.length; i += 2) {
      if (fields[i + 1] instanceof Number number) {
        line.addProperty((String) fields[i], number);
      } else {
        line.addProperty((String) fields[i], (String) fields[i + 1]);
      }
    }
    System.out.println(line);
    System.out.flush();
  }
}
