package fedcoin.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.ByteString;
import fedcoin.v1.PaymentProof;
import fedcoin.v1.TransactionBody;
import fedcoin.v1.ValidatorChange;
import fedcoin.v1.Vote;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;

/** The golden vectors in tests/vectors, which all languages check. */
final class VectorsTest {
  private static JsonElement vectors(String name) throws Exception {
    return JsonParser.parseString(Files.readString(Path.of("../../../tests/vectors", name + ".json")));
  }

  private static List<JsonObject> objects(JsonElement array) {
    return StreamSupport.stream(array.getAsJsonArray().spliterator(), false).map(JsonElement::getAsJsonObject).toList();
  }

  private static List<byte[]> listOf(JsonElement array) {
    return StreamSupport.stream(array.getAsJsonArray().spliterator(), false).map(each -> parse(each.getAsString())).toList();
  }

  private static String text(JsonObject vector, String name) {
    return vector.get(name).getAsString();
  }

  private static byte[] bytes(JsonObject vector, String name) {
    return parse(text(vector, name));
  }

  private static byte[] parse(String hex) {
    return HexFormat.of().parseHex(hex);
  }

  private static String hex(byte[] raw) {
    return HexFormat.of().formatHex(raw);
  }

  @Test
  void addresses() throws Exception {
    for (JsonObject each : objects(vectors("addresses"))) {
      Address address = Address.of(bytes(each, "public_key"));
      assertEquals(text(each, "address"), address.hex());
      assertEquals(text(each, "text"), address.toString());
      assertEquals(address, Address.parse(text(each, "text")));
    }
    for (JsonObject each : objects(vectors("bad_addresses"))) {
      assertThrows(IllegalArgumentException.class, () -> Address.parse(text(each, "text")), text(each, "why"));
    }
  }

  @Test
  void encodings() throws Exception {
    JsonObject golden = vectors("encodings").getAsJsonObject();
    for (JsonObject each : objects(golden.get("accepted"))) {
      Vote vote =
          Vote.newBuilder()
              .setKindValue(each.get("kind").getAsInt())
              .setHeight(each.get("height").getAsLong())
              .setRound(each.get("round").getAsInt())
              .setBlockHash(ByteString.copyFrom(bytes(each, "block_hash")))
              .setAudited(each.get("audited").getAsBoolean())
              .build();
      assertEquals(text(each, "raw"), hex(Canonical.encode(vote)));
      assertEquals(vote, Canonical.decode(Vote.parser(), bytes(each, "raw")));
    }
    for (JsonObject each : objects(golden.get("refused"))) {
      assertThrows(
          Canonical.EncodingException.class,
          () -> Canonical.decode(Vote.parser(), bytes(each, "raw")),
          text(each, "why"));
    }
  }

  @Test
  void signing() throws Exception {
    for (JsonObject each : objects(vectors("hashing"))) {
      byte[] digest = Hashes.digest(text(each, "context"), bytes(each, "genesis_hash"), bytes(each, "body"));
      assertEquals(text(each, "digest"), hex(digest));
    }
    for (JsonObject each : objects(vectors("keys"))) {
      Key key = new Key(bytes(each, "seed"));
      byte[] genesisHash = bytes(each, "genesis_hash");
      byte[] body = bytes(each, "body");
      byte[] signature = key.sign(text(each, "context"), genesisHash, body);
      assertEquals(text(each, "public_key"), hex(key.publicKey()));
      assertEquals(text(each, "address"), key.address().hex());
      assertEquals(text(each, "signature"), hex(signature));
      assertTrue(Key.isSigned(key.publicKey(), text(each, "context"), genesisHash, body, signature));
      assertFalse(Key.isSigned(key.publicKey(), Key.VOTE, genesisHash, body, signature));
    }
  }

  @Test
  void transactions() throws Exception {
    for (JsonObject each : objects(vectors("transactions"))) {
      TransactionBody body = Canonical.decode(TransactionBody.parser(), bytes(each, "body"));
      Key key = new Key(bytes(each, "seed"));
      byte[] raw = Client.signTransaction(key, bytes(each, "genesis_hash"), Canonical.encode(body));
      assertEquals(text(each, "raw"), hex(raw), text(each, "action"));
    }
  }

  @Test
  void merkleTrees() throws Exception {
    for (JsonObject each : objects(vectors("merkle"))) {
      List<byte[]> leaves = listOf(each.get("leaves"));
      byte[] root = bytes(each, "root");
      assertEquals(hex(root), hex(Hashes.merkleRoot(leaves.stream().map(Hashes::leaf).toList())));
      JsonArray paths = each.getAsJsonArray("paths");
      for (int i = 0; i < leaves.size(); i++) {
        List<byte[]> path = listOf(paths.get(i));
        List<byte[]> longer = new ArrayList<>(path);
        longer.add(root);
        assertTrue(Hashes.isOnPath(leaves.get(i), i, leaves.size(), path, root));
        assertFalse(Hashes.isOnPath(leaves.get(i), i, leaves.size(), longer, root));
        int other = (i + 1) % leaves.size();
        assertTrue(other == i || !Hashes.isOnPath(leaves.get(i), other, leaves.size(), path, root));
      }
    }
  }

  @Test
  void artifacts() throws Exception {
    for (JsonObject each : objects(vectors("artifacts"))) {
      String unit = new String(bytes(each, "unit"), StandardCharsets.US_ASCII);
      byte[] data = unit.repeat(each.get("times").getAsInt()).getBytes(StandardCharsets.US_ASCII);
      var manifest = Artifacts.manifestOf(data);
      assertEquals(each.get("size").getAsLong(), manifest.getSize());
      assertEquals(text(each, "id"), hex(manifest.getId().toByteArray()));
      assertEquals(
          listOf(each.get("chunk_hashes")).stream().map(VectorsTest::hex).toList(),
          manifest.getChunkHashesList().stream().map(hash -> hex(hash.toByteArray())).toList());
    }
  }

  @Test
  void genesis() throws Exception {
    JsonObject golden = vectors("genesis").getAsJsonObject();
    Genesis genesis = Genesis.parse(text(golden, "raw").getBytes(StandardCharsets.UTF_8));
    assertEquals(text(golden, "hash"), hex(genesis.hash()));
    assertEquals(text(golden, "chain_id"), genesis.chainId());
    assertEquals(1, genesis.validators().size());
  }

  @Test
  void certificates() throws Exception {
    JsonObject golden = vectors("certificates").getAsJsonObject();
    List<Validator> validators =
        objects(golden.get("validators")).stream()
            .map(each -> new Validator(bytes(each, "public_key"), each.get("power").getAsLong()))
            .toList();
    assertEquals(text(golden, "validators_hash"), hex(Validator.hashOf(validators)));
    byte[] genesisHash = bytes(golden, "genesis_hash");
    byte[] block = bytes(golden, "block_hash");
    long height = golden.get("height").getAsLong();
    for (JsonObject each : objects(golden.get("accepted"))) {
      byte[] raw = bytes(each, "certificate");
      int round = Validator.verifyCertificate(raw, validators, genesisHash, height, block);
      assertEquals(each.get("round").getAsInt(), round);
    }
    for (JsonObject each : objects(golden.get("refused"))) {
      byte[] raw = bytes(each, "certificate");
      var error =
          assertThrows(
              ProofException.class,
              () -> Validator.verifyCertificate(raw, validators, genesisHash, height, block),
              text(each, "why"));
      assertEquals("BAD_CERTIFICATE", error.code());
    }
  }

  private static List<TrustPath.ProvedPayment> check(String genesis, List<byte[]> changes, List<byte[]> proofs)
      throws Exception {
    TrustPath trust = new TrustPath(Genesis.parse(genesis.getBytes(StandardCharsets.UTF_8)));
    for (byte[] raw : changes) {
      trust.follow(ValidatorChange.parseFrom(raw));
    }
    List<TrustPath.ProvedPayment> found = new ArrayList<>();
    for (byte[] raw : proofs) {
      found.add(trust.check(PaymentProof.parseFrom(raw)));
    }
    return found;
  }

  @Test
  void paymentProofs() throws Exception {
    JsonObject golden = vectors("payment_proofs").getAsJsonObject();
    var found = check(text(golden, "genesis"), listOf(golden.get("changes")), listOf(golden.get("proofs")));
    List<JsonObject> wanted = objects(golden.get("payments"));
    assertEquals(wanted.size(), found.size());
    for (int i = 0; i < found.size(); i++) {
      JsonObject each = wanted.get(i);
      var payment = found.get(i).payment();
      assertEquals(each.get("height").getAsLong(), found.get(i).header().getHeight());
      assertEquals(text(each, "block_hash"), hex(found.get(i).blockHash()));
      assertEquals(text(each, "kind"), payment.getKind().name());
      assertEquals(text(each, "address"), new Address(payment.getAddress().toByteArray()).toString());
      assertEquals(each.get("amount").getAsLong(), payment.getAmount());
      assertEquals(each.get("shapley_nano").getAsLong(), payment.getShapleyNano());
    }
    for (JsonObject each : objects(golden.get("refused"))) {
      List<byte[]> proof = List.of(bytes(each, "proof"));
      var error =
          assertThrows(
              ProofException.class,
              () -> check(text(each, "genesis"), listOf(each.get("changes")), proof),
              text(each, "why"));
      assertEquals(text(each, "code"), error.code(), text(each, "why"));
    }
  }
}
