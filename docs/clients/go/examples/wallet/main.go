// A wallet: shows the balance of a key, sends coins, and waits until the payment is final.
//
//	go run ./examples/wallet 127.0.0.1:7051                              prints address and balance of the key in client.key
//	go run ./examples/wallet 127.0.0.1:7051 genesis.json ADDRESS AMOUNT  sends AMOUNT (in sap) to ADDRESS
//
// genesis.json is the network's genesis file. Every signature covers its hash, so that the node cannot
// have a payment signed for another network, such as an earlier launch under the same name.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/fedcoin"
)

const keyFile = "client.key"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 && len(os.Args) != 5 {
		log.Fatal("usage: wallet NODE [GENESIS ADDRESS AMOUNT]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, target string, payment []string) error {
	key, err := fedcoin.LoadKey(keyFile)
	if err != nil {
		return err
	}
	// Plaintext is only for a node on this machine. For other nodes, use credentials.NewTLS(...).
	client, err := fedcoin.Dial(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer client.Close()
	wallet := &fedcoin.Wallet{Client: client, Key: key}
	if len(payment) == 0 {
		balance, err := wallet.Balance(ctx)
		if err == nil {
			fmt.Printf("%s %d sap\n", key.Address(), balance)
		}
		return err
	}
	raw, err := os.ReadFile(payment[0])
	if err != nil {
		return err
	}
	if wallet.Genesis, err = fedcoin.ParseGenesis(raw); err != nil {
		return err
	}
	to, err := fedcoin.ParseAddress(payment[1])
	if err != nil {
		return err
	}
	amount, err := strconv.ParseUint(payment[2], 10, 63)
	if err != nil {
		return fmt.Errorf("amount is %q; it must be a whole number of sap", payment[2])
	}
	sent, err := wallet.Send(ctx, fedcoin.Output{To: to, Amount: amount})
	if err == nil {
		fmt.Printf("%s is final at height %d\n", sent.Hash, sent.Height)
	}
	return err
}
