// A wallet in Go: shows an account, sends coins, and waits until the payment is final.
//
//	go run . 127.0.0.1:7051                     the address and balance of the key in client.key
//	go run . 127.0.0.1:7051 ADDRESS AMOUNT      sends so many sap
//
// The stubs are generated: buf generate ../../../proto --template buf.gen.yaml
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
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
	patience     = time.Minute
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 && len(os.Args) != 4 {
		log.Fatal("usage: wallet NODE [ADDRESS AMOUNT]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
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
	// Plaintext is for loopback; elsewhere give credentials.NewTLS(...).
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
	action, err := transfer(payment[0], payment[1])
	if err != nil {
		return err
	}
	signed, err := sign(ctx, node, key, account.Account.Nonce, action)
	if err != nil {
		return err
	}
	return submit(ctx, fedcoin.NewTransactionServiceClient(connection), signed)
}

// loadKey reads the key's seed in hex; makes one when there is none.
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

// addressOf is the bech32m form of the first bytes of SHA-256 of the public key.
func addressOf(key ed25519.PrivateKey) (string, error) {
	hash := sha256.Sum256(key.Public().(ed25519.PublicKey))
	groups, err := bech32.ConvertBits(hash[:addressBytes], 8, 5, true)
	if err != nil {
		return "", err
	}
	return bech32.EncodeM(prefix, groups)
}

func transfer(to, amount string) (*fedcoin.TransactionBody_Transfer, error) {
	sap, err := strconv.ParseUint(amount, 10, 63)
	if err != nil {
		return nil, fmt.Errorf("amount is %q; it must be a whole number of sap", amount)
	}
	found, groups, version, err := bech32.DecodeGeneric(to)
	if err != nil || found != prefix || version != bech32.VersionM {
		return nil, fmt.Errorf("%q is no address", to)
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

// sign fills in what the network asks for, signs the body's exact bytes, and returns the serialised
// transaction.
func sign(
	ctx context.Context,
	node fedcoin.NodeServiceClient,
	key ed25519.PrivateKey,
	nonce uint64,
	action *fedcoin.TransactionBody_Transfer,
) ([]byte, error) {
	status, err := node.GetStatus(ctx, &fedcoin.GetStatusRequest{})
	if err != nil {
		return nil, err
	}
	fees, err := node.GetFees(ctx, &fedcoin.GetFeesRequest{})
	if err != nil {
		return nil, err
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(&fedcoin.TransactionBody{
		ChainId:      status.ChainId,
		Nonce:        nonce,
		Fee:          fees.BaseFee + fees.FeePerKib, // a transfer to one takes less than one KiB
		ExpiryHeight: status.Height + min(fees.MaxExpiryBlocks, expiryBlocks),
		Action:       action,
	})
	if err != nil {
		return nil, err
	}
	signed := append([]byte("fedcoin/tx/v1\x00"+status.ChainId+"\x00"), body...)
	digest := sha256.Sum256(signed)
	return proto.MarshalOptions{Deterministic: true}.Marshal(&fedcoin.SignedTransaction{
		Body:      body,
		PublicKey: key.Public().(ed25519.PublicKey),
		Signature: ed25519.Sign(key, digest[:]),
	})
}

// submit hands in the signed bytes, and returns when the transaction is final.
func submit(
	ctx context.Context,
	transactions fedcoin.TransactionServiceClient,
	signed []byte,
) error {
	taken, err := transactions.SubmitTransaction(ctx, &fedcoin.SubmitTransactionRequest{Transaction: signed})
	if err != nil {
		return err
	}
	watch, err := transactions.WatchTransaction(ctx, &fedcoin.WatchTransactionRequest{Hash: taken.Hash})
	if err != nil {
		return err
	}
	for {
		news, err := watch.Recv()
		if err != nil {
			return err
		}
		switch state := news.Transaction; state.Status {
		case fedcoin.TransactionStatus_TRANSACTION_STATUS_FINAL:
			fmt.Printf("%s is final at height %d\n", taken.Hash, state.Height)
			return nil
		case fedcoin.TransactionStatus_TRANSACTION_STATUS_DROPPED:
			return fmt.Errorf("%s was dropped", taken.Hash)
		}
	}
}
