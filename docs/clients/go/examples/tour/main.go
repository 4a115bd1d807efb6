// What a program does with a node, one step a command; each prints lines of JSON.
//
//	tour status NODE                           chain id and height
//	tour blocks NODE PAGE_SIZE                 all blocks, the highest first, by pages
//	tour watch NODE FROM COUNT                 COUNT blocks from height FROM on; continues after a break
//	tour upload NODE FILE                      stores an artifact
//	tour download NODE ID FILE                 fetches it
//	tour error NODE                            asks for what does not exist, and shows the details of the error
//	tour send NODE GENESIS KEY ADDRESS AMOUNT  pays from the key whose seed is in the file KEY
//	tour prove NODE GENESIS TASK ADDRESS       checks the payments of a task, trusting the genesis alone
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/fedcoin"
	"example.com/fedcoin/fedcoinv1"
)

const maxArtifactBytes = 1 << 30

type fields map[string]any

type step struct {
	arguments int
	run       func(context.Context, *fedcoin.Client, []string) error
}

var steps = map[string]step{
	"status": {0, status}, "blocks": {1, blocks}, "watch": {2, watch}, "upload": {1, upload},
	"download": {2, download}, "error": {0, refusal}, "send": {4, send}, "prove": {3, prove},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 || len(os.Args)-3 != steps[os.Args[1]].arguments || steps[os.Args[1]].run == nil {
		log.Fatal("usage: tour STEP NODE [ARGUMENTS], see the comment in main.go")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := fedcoin.Dial(os.Args[2], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := steps[os.Args[1]].run(ctx, client, os.Args[3:]); err != nil {
		log.Fatal(err)
	}
}

func show(found fields) error { return json.NewEncoder(os.Stdout).Encode(found) }

func status(ctx context.Context, client *fedcoin.Client, _ []string) error {
	found, err := client.Status(ctx)
	if err != nil {
		return err
	}
	return show(fields{"chain_id": found.ChainId, "height": found.Height})
}

func blocks(ctx context.Context, client *fedcoin.Client, given []string) error {
	size, err := strconv.ParseUint(given[0], 10, 32)
	if err != nil {
		return err
	}
	for block, err := range client.Blocks(ctx, uint32(size)) {
		if err != nil {
			return err
		}
		if err := show(fields{"height": block.Height, "hash": block.Hash}); err != nil {
			return err
		}
	}
	return nil
}

func watch(ctx context.Context, client *fedcoin.Client, given []string) error {
	from, err := strconv.ParseUint(given[0], 10, 64)
	if err != nil {
		return err
	}
	left, err := strconv.Atoi(given[1])
	if err != nil {
		return err
	}
	for events, err := range client.Watch(ctx, from) {
		if err != nil {
			return err
		}
		if err := show(fields{"height": events.Block.Height, "payments": len(events.Payments)}); err != nil {
			return err
		}
		if left--; left == 0 {
			break
		}
	}
	return nil
}

func upload(ctx context.Context, client *fedcoin.Client, given []string) error {
	data, err := os.ReadFile(given[0])
	if err != nil {
		return err
	}
	id, err := client.Upload(ctx, data)
	if err != nil {
		return err
	}
	return show(fields{"id": hex.EncodeToString(id[:])})
}

func download(ctx context.Context, client *fedcoin.Client, given []string) error {
	id, err := hex.DecodeString(given[0])
	if err != nil || len(id) != len(fedcoin.Hash{}) {
		return fmt.Errorf("%q is not an artifact's id", given[0])
	}
	data, err := client.Download(ctx, fedcoin.Hash(id), maxArtifactBytes)
	if err != nil {
		return err
	}
	if err := os.WriteFile(given[1], data, 0o600); err != nil {
		return err
	}
	return show(fields{"bytes": len(data)})
}

func refusal(ctx context.Context, client *fedcoin.Client, _ []string) error {
	_, err := client.Tasks.GetTask(ctx, &fedcoinv1.GetTaskRequest{TaskId: "zz"})
	var refused *fedcoin.Refusal
	if !errors.As(err, &refused) {
		return fmt.Errorf("the node did not refuse: %w", err)
	}
	return show(fields{
		"status": refused.Code.String(), "reason": refused.Reason, "domain": refused.Domain,
		"field": refused.Field, "limit": refused.Limit, "message": refused.Message,
	})
}

func send(ctx context.Context, client *fedcoin.Client, given []string) error {
	genesis, err := readGenesis(given[0])
	if err != nil {
		return err
	}
	key, err := fedcoin.LoadKey(given[1])
	if err != nil {
		return err
	}
	to, err := fedcoin.ParseAddress(given[2])
	if err != nil {
		return err
	}
	amount, err := strconv.ParseUint(given[3], 10, 63)
	if err != nil {
		return err
	}
	wallet := &fedcoin.Wallet{Client: client, Key: key, Genesis: genesis}
	sent, err := wallet.Send(ctx, fedcoin.Output{To: to, Amount: amount})
	if err != nil {
		return err
	}
	return show(fields{"hash": sent.Hash, "height": sent.Height})
}

func prove(ctx context.Context, client *fedcoin.Client, given []string) error {
	genesis, err := readGenesis(given[0])
	if err != nil {
		return err
	}
	to, err := fedcoin.ParseAddress(given[2])
	if err != nil {
		return err
	}
	proved, err := client.ProvePayments(ctx, genesis, given[1], to)
	if err != nil {
		return err
	}
	for _, each := range proved {
		if err := show(fields{
			"height": each.Header.Height, "kind": each.Payment.Kind.String(), "amount": each.Payment.Amount,
		}); err != nil {
			return err
		}
	}
	return nil
}

func readGenesis(path string) (*fedcoin.Genesis, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return fedcoin.ParseGenesis(raw)
}
