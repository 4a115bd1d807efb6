package fedcoin

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"

	"example.com/fedcoin/fedcoinv1"
)

// A Genesis is what a network's genesis.json says. Take the file from somebody you trust, not from a node.
type Genesis struct {
	// ChainID is the network's name.
	ChainID string
	// Hash of the file's exact bytes. Every signature covers it.
	Hash Hash
	// Validators of height 1.
	Validators Validators
}

// ParseGenesis reads the bytes of a genesis file.
func ParseGenesis(raw []byte) (*Genesis, error) {
	var message fedcoinv1.Genesis
	if err := protojson.Unmarshal(raw, &message); err != nil {
		return nil, fmt.Errorf("the genesis file: %w", err)
	}
	if message.ChainId == "" {
		return nil, fmt.Errorf("the genesis file has no chain_id")
	}
	genesis := &Genesis{ChainID: message.ChainId, Hash: sha256.Sum256(raw)}
	for _, each := range message.Validators {
		key, err := hex.DecodeString(each.PublicKey)
		if err != nil || len(key) != ed25519.PublicKeySize || each.Bond == 0 {
			return nil, fmt.Errorf("the genesis file: validator %q needs a key of 32 bytes and a bond", each.PublicKey)
		}
		genesis.Validators = append(genesis.Validators, Validator{PublicKey: key, Power: each.Bond})
	}
	return genesis, genesis.Validators.check()
}
