package fedcoin

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"example.com/fedcoin/fedcoinv1"
)

// The faults of certificates and of proofs. Errors wrap them.
var (
	ErrCertificate    = errors.New("the certificate does not make the block final")
	ErrChain          = errors.New("of another chain")
	ErrRoot           = errors.New("the path does not lead to the header's receipts_root")
	ErrValidatorsHash = errors.New("the header commits to other validators")
)

// A Validator votes with the power of its bond, in sap.
type Validator struct {
	PublicKey ed25519.PublicKey
	Power     uint64
}

// Validators are the validators of one height, in any order.
type Validators []Validator

func (v Validators) check() error {
	var total uint64
	seen := map[string]bool{}
	for _, each := range v {
		sum, carry := bits.Add64(total, each.Power, 0)
		if carry != 0 || sum > math.MaxInt64 || each.Power == 0 || seen[string(each.PublicKey)] {
			return errors.New("validators: each comes once, with a power, and all powers are at most 2^63 - 1")
		}
		total, seen[string(each.PublicKey)] = sum, true
	}
	return nil
}

// Hash returns the hash of the validators to which headers commit.
func (v Validators) Hash() Hash {
	ordered := slices.Clone(v)
	slices.SortFunc(ordered, func(one, other Validator) int {
		first, second := AddressOf(one.PublicKey), AddressOf(other.PublicKey)
		return bytes.Compare(first[:], second[:])
	})
	hashed := binary.BigEndian.AppendUint32([]byte("fedcoin/validators/v1\x00"), uint32(len(ordered)))
	for _, each := range ordered {
		hashed = append(hashed, each.PublicKey...)
		hashed = binary.BigEndian.AppendUint64(hashed, each.Power)
	}
	return sha256.Sum256(hashed)
}

// isQuorum tells whether a part of the total power is more than two thirds of it.
func isQuorum(part, total uint64) bool {
	high, low := bits.Mul64(part, 3)
	needHigh, needLow := bits.Mul64(total, 2)
	return high > needHigh || high == needHigh && low > needLow
}

// VerifyCertificate checks that a serialised Certificate makes a block final: precommits for it in one round,
// in the order of their keys, by validators with more than two thirds of the power. It returns the round.
func (v Validators) VerifyCertificate(
	certificate []byte, genesisHash Hash, height uint64, blockHash Hash,
) (uint32, error) {
	var message fedcoinv1.Certificate
	if err := Decode(certificate, &message); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	powers := make(map[string]uint64, len(v))
	var part, total uint64
	for _, each := range v {
		powers[string(each.PublicKey)] = each.Power
		total += each.Power
	}
	var before []byte
	for _, vote := range message.Precommits {
		power := powers[string(vote.PublicKey)]
		if power == 0 || bytes.Compare(vote.PublicKey, before) <= 0 {
			return 0, fmt.Errorf("%w: key %x is no validator's, or out of order", ErrCertificate, vote.PublicKey)
		}
		if !bytes.Equal(vote.Body, message.Precommits[0].Body) {
			return 0, fmt.Errorf("%w: the precommits differ", ErrCertificate)
		}
		part, before = part+power, vote.PublicKey
	}
	if !isQuorum(part, total) {
		return 0, fmt.Errorf("%w: it has %d of %d of the power", ErrCertificate, part, total)
	}
	var body fedcoinv1.Vote
	if err := Decode(message.Precommits[0].Body, &body); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if body.Kind != fedcoinv1.VoteKind_VOTE_KIND_PRECOMMIT || body.Height != height ||
		!bytes.Equal(body.BlockHash, blockHash[:]) || body.Audited {
		return 0, fmt.Errorf("%w: its votes are for something else", ErrCertificate)
	}
	for _, vote := range message.Precommits {
		if !Verify(vote.PublicKey, ContextVote, genesisHash, vote.Body, vote.Signature) {
			return 0, fmt.Errorf("%w: the signature of %x is wrong", ErrCertificate, vote.PublicKey)
		}
	}
	return body.Round, nil
}
