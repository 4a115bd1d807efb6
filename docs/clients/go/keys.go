package fedcoin

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// A Context separates signatures of different kinds of messages.
type Context string

// The contexts of the messages that clients sign; docs/PROTOCOL.md, section 2, has them all.
const (
	ContextTransaction Context = "fedcoin/tx/v2"
	ContextUpdate      Context = "fedcoin/update/v2"
	ContextReceipt     Context = "fedcoin/receipt/v2"
	ContextVote        Context = "fedcoin/vote/v2"
	ContextProposal    Context = "fedcoin/proposal/v2"
	ContextHello       Context = "fedcoin/hello/v2"
	ContextRegister    Context = "fedcoin/register/v2"
)

// Digest returns what is signed: SHA-256(context || 00 || genesis hash || body).
func Digest(context Context, genesisHash Hash, body []byte) Hash {
	signed := append([]byte(context), 0)
	signed = append(signed, genesisHash[:]...)
	return sha256.Sum256(append(signed, body...))
}

// A Key signs with Ed25519 (RFC 8032).
type Key struct{ secret ed25519.PrivateKey }

// NewKey makes a random key.
func NewKey() (Key, error) {
	_, secret, err := ed25519.GenerateKey(rand.Reader)
	return Key{secret}, err
}

// KeyFromSeed returns the key with a seed of 32 bytes.
func KeyFromSeed(seed []byte) (Key, error) {
	if len(seed) != ed25519.SeedSize {
		return Key{}, fmt.Errorf("the seed has %d bytes; it must have %d", len(seed), ed25519.SeedSize)
	}
	return Key{ed25519.NewKeyFromSeed(seed)}, nil
}

// LoadKey reads a key's seed, 32 bytes in hex, from a file. If there is no such file, it makes a key and
// writes its seed there, readable for the user alone.
func LoadKey(path string) (Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := NewKey()
		if err != nil {
			return key, err
		}
		return key, os.WriteFile(path, []byte(hex.EncodeToString(key.secret.Seed())), 0o600)
	}
	if err != nil {
		return Key{}, err
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return Key{}, fmt.Errorf("%s must hold a seed in hex", path)
	}
	return KeyFromSeed(seed)
}

// PublicKey returns the key's public half, 32 bytes.
func (k Key) PublicKey() ed25519.PublicKey {
	return k.secret.Public().(ed25519.PublicKey)
}

// Address returns the address of the key.
func (k Key) Address() Address { return AddressOf(k.PublicKey()) }

// Sign signs a body in a context, for the network with this genesis hash.
func (k Key) Sign(context Context, genesisHash Hash, body []byte) []byte {
	digest := Digest(context, genesisHash, body)
	return ed25519.Sign(k.secret, digest[:])
}

// Verify tells whether a signature of a body is valid. It accepts the signatures of all honest keys; nodes
// also refuse public keys of small order (docs/PROTOCOL.md, section 2), which no honest signer has.
func Verify(key ed25519.PublicKey, context Context, genesisHash Hash, body, signature []byte) bool {
	digest := Digest(context, genesisHash, body)
	return len(key) == ed25519.PublicKeySize && ed25519.Verify(key, digest[:], signature)
}
