// A wallet in Go: shows the balance of a key, sends coins, and waits until the payment is final.
//
//	go run . 127.0.0.1:7051                              prints address and balance of the key in client.key
//	go run . 127.0.0.1:7051 genesis.json ADDRESS AMOUNT  sends AMOUNT (in sap) to ADDRESS
//
// genesis.json is the network's genesis file. Every signature covers its hash, so that the node cannot
// have a payment signed for another network, such as an earlier launch under the same name.
//
// To generate the stubs, run: buf generate ../../../proto --template buf.gen.yaml
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/btcsuite/btcd/btcutil/bech32"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	fedcoin "example.com/fedcoin-client/gen/fedcoin/v1"
)

const (
	keyFile      = "client.key"
	prefix       = "fc"
	addressBytes = 20
	expiryBlocks = 200
	maxFeeFactor = 20 // of the minimum fee: more is not paid, whatever the node says
	timeout      = time.Minute
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 && len(os.Args) != 5 {
		log.Fatal("usage: wallet NODE [GENESIS ADDRESS AMOUNT]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, target string, payment []string) error {
	key, err := loadKey()
	if err != nil {
		return err
	}
	address, err := addressOf(key)
	if err != nil {
		return err
	}
	// Plaintext is only for a node on this machine. For other nodes, use credentials.NewTLS(...).
	connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	node := fedcoin.NewNodeServiceClient(connection)

	account, err := node.GetAccount(ctx, &fedcoin.GetAccountRequest{Address: address})
	if err != nil {
		return err
	}
	if len(payment) == 0 {
		fmt.Printf("%s %d sap\n", address, account.Account.Balance)
		return nil
	}
	genesis, err := os.ReadFile(payment[0])
	if err != nil {
		return err
	}
	action, err := transfer(payment[1], payment[2])
	if err != nil {
		return err
	}
	signed, err := sign(ctx, node, genesis, key, account.Account.Nonce, action)
	if err != nil {
		return err
	}
	return submit(ctx, fedcoin.NewTransactionServiceClient(connection), signed)
}

// loadKey reads the key's seed (32 bytes in hex) from keyFile, or makes a key and writes its seed
// there when the file does not exist.
func loadKey() (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return key, os.WriteFile(keyFile, []byte(hex.EncodeToString(key.Seed())), 0o600)
	}
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s must hold %d bytes in hex", keyFile, ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// addressOf returns a key's address: the first 20 bytes of SHA-256 of the public key, in bech32m.
func addressOf(key ed25519.PrivateKey) (string, error) {
	hash := sha256.Sum256(key.Public().(ed25519.PublicKey))
	groups, err := bech32.ConvertBits(hash[:addressBytes], 8, 5, true)
	if err != nil {
		return "", err
	}
	return bech32.EncodeM(prefix, groups)
}

// transfer makes the action that sends an amount, in sap, to an address.
func transfer(to, amount string) (*fedcoin.TransactionBody_Transfer, error) {
	sap, err := strconv.ParseUint(amount, 10, 63)
	if err != nil {
		return nil, fmt.Errorf("amount is %q; it must be a whole number of sap", amount)
	}
	actualPrefix, groups, version, err := bech32.DecodeGeneric(to)
	if err != nil || actualPrefix != prefix || version != bech32.VersionM {
		return nil, fmt.Errorf("%q is not an address of this network", to)
	}
	recipient, err := bech32.ConvertBits(groups, 5, 8, false)
	if err != nil {
		return nil, err
	}
	output := &fedcoin.TransferOutput{Recipient: recipient, Amount: sap}
	return &fedcoin.TransactionBody_Transfer{
		Transfer: &fedcoin.Transfer{Outputs: []*fedcoin.TransferOutput{output}},
	}, nil
}

// chainIDOf reads the network's name from the bytes of its genesis file.
func chainIDOf(genesis []byte) (string, error) {
	var content map[string]any
	if err := json.Unmarshal(genesis, &content); err != nil {
		return "", fmt.Errorf("the genesis file: %w", err)
	}
	for _, name := range []string{"chain_id", "chainId"} {
		if chainID, ok := content[name].(string); ok {
			return chainID, nil
		}
	}
	return "", errors.New("the genesis file has no chain_id")
}

// chooseFee returns the lowest fee, in sap, with which a transfer with one output is in the next block:
// its transaction has less than one KiB.
func chooseFee(fees *fedcoin.GetFeesResponse) uint64 {
	minimum := fees.BaseFee + fees.FeePerKib
	return min(max(minimum, fees.MempoolFeeRate, fees.NextBlockFeeRate), maxFeeFactor*minimum)
}

// sign fills in fee and expiry height, serialises the body once, signs these bytes, and
// returns the serialised transaction.
func sign(
	ctx context.Context,
	node fedcoin.NodeServiceClient,
	genesis []byte,
	key ed25519.PrivateKey,
	nonce uint64,
	action *fedcoin.TransactionBody_Transfer,
) ([]byte, error) {
	status, err := node.GetStatus(ctx, &fedcoin.GetStatusRequest{})
	if err != nil {
		return nil, err
	}
	chainID, err := chainIDOf(genesis)
	if err != nil {
		return nil, err
	}
	fees, err := node.GetFees(ctx, &fedcoin.GetFeesRequest{})
	if err != nil {
		return nil, err
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fedcoin.TransactionBody{
		ChainId:      chainID,
		Nonce:        nonce,
		Fee:          chooseFee(fees),
		ExpiryHeight: status.Height + min(fees.MaxExpiryBlocks, expiryBlocks),
		Action:       action,
	})
	if err != nil {
		return nil, err
	}
	genesisHash := sha256.Sum256(genesis)
	signed := append([]byte("fedcoin/tx/v2\x00"), genesisHash[:]...)
	signed = append(signed, body...)
	digest := sha256.Sum256(signed)
	return proto.MarshalOptions{Deterministic: true}.Marshal(&fedcoin.SignedTransaction{
		Body:      body,
		PublicKey: key.Public().(ed25519.PublicKey),
		Signature: ed25519.Sign(key, digest[:]),
	})
}

// submit sends the signed bytes to the node, and returns when the transaction is final. It fails when
// the transaction was refused or dropped.
func submit(
	ctx context.Context,
	transactions fedcoin.TransactionServiceClient,
	signed []byte,
) error {
	submitted, err := transactions.SubmitTransaction(ctx, &fedcoin.SubmitTransactionRequest{Transaction: signed})
	if err != nil {
		return err
	}
	watch, err := transactions.WatchTransaction(ctx, &fedcoin.WatchTransactionRequest{Hash: submitted.Hash})
	if err != nil {
		return err
	}
	for {
		update, err := watch.Recv()
		if err != nil {
			return err
		}
		switch state := update.Transaction; state.Status {
		case fedcoin.TransactionStatus_TRANSACTION_STATUS_FINAL:
			fmt.Printf("%s is final at height %d\n", submitted.Hash, state.Height)
			return nil
		case fedcoin.TransactionStatus_TRANSACTION_STATUS_DROPPED:
			return fmt.Errorf("%s was dropped: %s", submitted.Hash, state.Reason)
		}
	}
}
