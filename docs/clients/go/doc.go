// Package fedcoin calls FedCoin nodes, signs transactions, and checks payments without trusting a node.
//
//	client, err := fedcoin.Dial("127.0.0.1:7051", grpc.WithTransportCredentials(insecure.NewCredentials()))
//	...
//	for block, err := range client.Blocks(ctx, 100) { ... }
//
// What is hashed and signed is described in docs/PROTOCOL.md, and each RPC in the .proto files. The stubs in
// fedcoinv1 are generated from them:
//
//	go generate ./...
package fedcoin

//go:generate buf generate ../../../proto --template buf.gen.yaml
