package fedcoin

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"example.com/fedcoin/fedcoinv1"
)

// octets are bytes that JSON holds in hex.
type octets []byte

func (o *octets) UnmarshalText(text []byte) (err error) {
	*o, err = hex.DecodeString(string(text))
	return err
}

// vectors reads a file of tests/vectors.
func vectors[T any](t *testing.T, name string) (content T) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "tests", "vectors", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &content); err != nil {
		t.Fatal(err)
	}
	return content
}

func equal(t *testing.T, what string, found, wanted []byte) {
	t.Helper()
	if !bytes.Equal(found, wanted) {
		t.Errorf("%s is %x; it should be %x", what, found, wanted)
	}
}

func TestAddresses(t *testing.T) {
	for _, each := range vectors[[]struct {
		PublicKey octets `json:"public_key"`
		Address   octets
		Text      string
	}](t, "addresses") {
		address := AddressOf([]byte(each.PublicKey))
		equal(t, "address", address[:], each.Address)
		read, err := ParseAddress(each.Text)
		if err != nil || read != address || address.String() != each.Text {
			t.Errorf("%s: read as %s, %v", each.Text, read, err)
		}
	}
	for _, each := range vectors[[]struct{ Why, Text string }](t, "bad_addresses") {
		if address, err := ParseAddress(each.Text); err == nil {
			t.Errorf("%s: %q was read as %s", each.Why, each.Text, address)
		}
	}
}

func TestEncodings(t *testing.T) {
	golden := vectors[struct {
		Accepted []struct {
			Kind, Round uint32
			Height      uint64
			BlockHash   octets `json:"block_hash"`
			Audited     bool
			Raw         octets
		}
		Refused []struct {
			Why string
			Raw octets
		}
	}](t, "encodings")
	for _, each := range golden.Accepted {
		wanted := &fedcoinv1.Vote{
			Kind: fedcoinv1.VoteKind(each.Kind), Height: each.Height, Round: each.Round,
			BlockHash: each.BlockHash, Audited: each.Audited,
		}
		raw, err := Encode(wanted)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "encoding", raw, each.Raw)
		var vote fedcoinv1.Vote
		if err := Decode(each.Raw, &vote); err != nil || vote.Height != each.Height {
			t.Errorf("%x: %v", each.Raw, err)
		}
	}
	for _, each := range golden.Refused {
		if err := Decode(each.Raw, &fedcoinv1.Vote{}); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v", each.Why, err)
		}
	}
}

func TestSigning(t *testing.T) {
	for _, each := range vectors[[]struct {
		Context     Context
		GenesisHash octets `json:"genesis_hash"`
		Body        octets
		Digest      octets
	}](t, "hashing") {
		digest := Digest(each.Context, Hash(each.GenesisHash), each.Body)
		equal(t, "digest", digest[:], each.Digest)
	}
	for _, each := range vectors[[]struct {
		Seed        octets
		PublicKey   octets `json:"public_key"`
		Address     octets
		Context     Context
		GenesisHash octets `json:"genesis_hash"`
		Body        octets
		Signature   octets
	}](t, "keys") {
		key, err := KeyFromSeed(each.Seed)
		if err != nil {
			t.Fatal(err)
		}
		address := key.Address()
		equal(t, "public key", key.PublicKey(), each.PublicKey)
		equal(t, "address", address[:], each.Address)
		signature := key.Sign(each.Context, Hash(each.GenesisHash), each.Body)
		equal(t, "signature", signature, each.Signature)
		if !Verify(key.PublicKey(), each.Context, Hash(each.GenesisHash), each.Body, signature) {
			t.Error("an own signature is refused")
		}
		if Verify(key.PublicKey(), ContextVote, Hash(each.GenesisHash), each.Body, signature) {
			t.Error("a signature is accepted in another context")
		}
	}
}

func TestTransactions(t *testing.T) {
	for _, each := range vectors[[]struct {
		Action                  string
		Seed, Body, Raw, Sender octets
		GenesisHash             octets `json:"genesis_hash"`
		Hash                    octets
	}](t, "transactions") {
		key, err := KeyFromSeed(each.Seed)
		if err != nil {
			t.Fatal(err)
		}
		var body fedcoinv1.TransactionBody
		if err := Decode(each.Body, &body); err != nil {
			t.Fatal(err)
		}
		raw, err := SignTransaction(key, Hash(each.GenesisHash), &body)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, each.Action, raw, each.Raw)
		hash, err := TransactionHash(raw)
		if err != nil {
			t.Fatal(err)
		}
		sender := key.Address()
		equal(t, "hash of "+each.Action, hash[:], each.Hash)
		equal(t, "sender of "+each.Action, sender[:], each.Sender)
	}
}

func TestPolicyTransactions(t *testing.T) {
	given := vectors[struct {
		Accepted []struct{ Raw, Hash octets }
	}](t, "policy_transactions")
	for _, each := range given.Accepted {
		hash, err := TransactionHash(each.Raw)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "hash", hash[:], each.Hash)
	}
}

func TestMerkleTrees(t *testing.T) {
	for _, each := range vectors[[]struct {
		Leaves []octets
		Root   octets
		Paths  [][]octets
	}](t, "merkle") {
		var hashes []Hash
		for _, leaf := range each.Leaves {
			hashes = append(hashes, LeafHash(leaf))
		}
		root := MerkleRoot(hashes)
		equal(t, "root", root[:], each.Root)
		for i, leaf := range each.Leaves {
			var path [][]byte
			for _, hash := range each.Paths[i] {
				path = append(path, hash)
			}
			count := uint32(len(each.Leaves))
			if !VerifyPath(leaf, uint32(i), count, path, root[:]) {
				t.Errorf("the path of leaf %d of %d is refused", i, count)
			}
			if VerifyPath(leaf, uint32(i), count, append(path, root[:]), root[:]) {
				t.Errorf("a step too many is accepted for leaf %d of %d", i, count)
			}
			if count > 1 && VerifyPath(leaf, (uint32(i)+1)%count, count, path, root[:]) {
				t.Errorf("another index is accepted for leaf %d of %d", i, count)
			}
		}
	}
}

func TestArtifacts(t *testing.T) {
	for _, each := range vectors[[]struct {
		Unit        octets
		Times       int
		Size        uint64
		ID          octets
		ChunkHashes []octets `json:"chunk_hashes"`
	}](t, "artifacts") {
		manifest := NewManifest(bytes.Repeat(each.Unit, each.Times))
		equal(t, "id", manifest.Id, each.ID)
		if manifest.Size != each.Size || len(manifest.ChunkHashes) != len(each.ChunkHashes) {
			t.Fatalf("size %d, %d chunks", manifest.Size, len(manifest.ChunkHashes))
		}
		for i, hash := range each.ChunkHashes {
			equal(t, "chunk hash", manifest.ChunkHashes[i], hash)
		}
		if err := checkManifest(manifest, Hash(each.ID)); err != nil {
			t.Error(err)
		}
		manifest.Size += ChunkBytes
		if checkManifest(manifest, Hash(each.ID)) == nil {
			t.Error("a manifest with a wrong size is accepted")
		}
	}
}

func TestGenesis(t *testing.T) {
	golden := vectors[struct {
		Raw     string
		Hash    octets
		ChainID string `json:"chain_id"`
	}](t, "genesis")
	genesis, err := ParseGenesis([]byte(golden.Raw))
	if err != nil || genesis.ChainID != golden.ChainID || len(genesis.Validators) != 1 {
		t.Fatalf("%+v, %v", genesis, err)
	}
	equal(t, "genesis hash", genesis.Hash[:], golden.Hash)
}

func TestCertificates(t *testing.T) {
	type certificate struct {
		Why         string
		Round       uint32
		Certificate octets
	}
	golden := vectors[struct {
		GenesisHash    octets `json:"genesis_hash"`
		Height         uint64
		BlockHash      octets `json:"block_hash"`
		ValidatorsHash octets `json:"validators_hash"`
		Validators     []struct {
			PublicKey octets `json:"public_key"`
			Power     uint64
		}
		Accepted, Refused []certificate
	}](t, "certificates")
	var validators Validators
	for _, each := range golden.Validators {
		validators = append(validators, Validator{[]byte(each.PublicKey), each.Power})
	}
	hash := validators.Hash()
	equal(t, "validators' hash", hash[:], golden.ValidatorsHash)
	check := func(each certificate) (uint32, error) {
		return validators.VerifyCertificate(
			each.Certificate, Hash(golden.GenesisHash), golden.Height, Hash(golden.BlockHash),
		)
	}
	for _, each := range golden.Accepted {
		if round, err := check(each); err != nil || round != each.Round {
			t.Errorf("round %d: %d, %v", each.Round, round, err)
		}
	}
	for _, each := range golden.Refused {
		if _, err := check(each); !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: %v", each.Why, err)
		}
	}
}

// checkProofs checks proofs from a genesis, over changes of the validators.
func checkProofs(t *testing.T, text string, changes, proofs []octets) (found []*ProvedPayment, err error) {
	t.Helper()
	genesis, err := ParseGenesis([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	trust := NewTrustPath(genesis)
	for _, raw := range changes {
		var change fedcoinv1.ValidatorChange
		if err := proto.Unmarshal(raw, &change); err != nil {
			t.Fatal(err)
		}
		if err := trust.Follow(&change); err != nil {
			return nil, err
		}
	}
	for _, raw := range proofs {
		var proof fedcoinv1.PaymentProof
		if err := proto.Unmarshal(raw, &proof); err != nil {
			t.Fatal(err)
		}
		payment, err := trust.CheckPayment(&proof)
		if err != nil {
			return nil, err
		}
		found = append(found, payment)
	}
	return found, nil
}

func TestPaymentProofs(t *testing.T) {
	golden := vectors[struct {
		Genesis         string
		Changes, Proofs []octets
		Payments        []struct {
			Height      uint64
			BlockHash   octets `json:"block_hash"`
			Kind        string
			Address     string
			Amount      uint64
			ShapleyNano int64 `json:"shapley_nano"`
		}
		Refused []struct {
			Why, Code, Genesis string
			Changes            []octets
			Proof              octets
		}
	}](t, "payment_proofs")
	found, err := checkProofs(t, golden.Genesis, golden.Changes, golden.Proofs)
	if err != nil || len(found) != len(golden.Payments) {
		t.Fatalf("%d payments, %v", len(found), err)
	}
	for i, each := range golden.Payments {
		payment := found[i].Payment
		equal(t, "block hash", found[i].BlockHash[:], each.BlockHash)
		if found[i].Header.Height != each.Height || payment.Amount != each.Amount ||
			payment.Kind.String() != each.Kind || Address(payment.Address).String() != each.Address ||
			payment.ShapleyNano != each.ShapleyNano {
			t.Errorf("payment %d is %v", i, payment)
		}
	}
	faults := map[string]error{
		"BAD_ROOT": ErrRoot, "BAD_CERTIFICATE": ErrCertificate, "WRONG_CHAIN": ErrChain,
		"WRONG_VALIDATORS_HASH": ErrValidatorsHash, "MALFORMED": nil,
	}
	for _, each := range golden.Refused {
		_, err := checkProofs(t, each.Genesis, each.Changes, []octets{each.Proof})
		fault, known := faults[each.Code]
		if err == nil || !known || fault != nil && !errors.Is(err, fault) {
			t.Errorf("%s should be %s: %v", each.Why, each.Code, err)
		}
	}
}
