package fedcoin

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/bech32"
)

const addressPrefix = "fc"

// An Address names an account: the first 20 bytes of SHA-256 of its public key.
type Address [20]byte

// AddressOf returns the address of an Ed25519 public key.
func AddressOf(key ed25519.PublicKey) Address {
	hash := sha256.Sum256(key)
	return Address(hash[:len(Address{})])
}

// ParseAddress reads an address in bech32m (BIP-350), in lower or upper case.
func ParseAddress(text string) (Address, error) {
	prefix, groups, version, err := bech32.DecodeGeneric(text)
	if err == nil && (version != bech32.VersionM || prefix != addressPrefix) {
		err = errors.New("it must be bech32m and begin with fc1")
	}
	if err != nil {
		return Address{}, fmt.Errorf("%q is not an address: %w", text, err)
	}
	raw, err := bech32.ConvertBits(groups, 5, 8, false)
	if err != nil || len(raw) != len(Address{}) {
		return Address{}, fmt.Errorf("%q is not an address: it must hold %d bytes", text, len(Address{}))
	}
	return Address(raw), nil
}

// String writes the address in bech32m: 41 characters that begin with fc1.
func (a Address) String() string {
	groups, err := bech32.ConvertBits(a[:], 8, 5, true)
	if err == nil {
		var text string
		if text, err = bech32.EncodeM(addressPrefix, groups); err == nil {
			return text
		}
	}
	panic(err) // 20 bytes always have a bech32m form
}
