package fedcoin

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"example.com/fedcoin/fedcoinv1"
)

// A TrustPath follows the changes of the validators from a genesis on, by their certificates alone. It is right
// as long as no validator set on the path ever signs a false chain with more than two thirds of its power.
type TrustPath struct {
	genesis *Genesis
	sets    []validatorsSince
}

type validatorsSince struct {
	height     uint64
	validators Validators
}

// NewTrustPath begins a path at a genesis.
func NewTrustPath(genesis *Genesis) *TrustPath {
	return &TrustPath{genesis, []validatorsSince{{1, genesis.Validators}}}
}

// Follow checks the next change of the validators, as ListValidatorChanges returns it, and takes it over.
func (t *TrustPath) Follow(change *fedcoinv1.ValidatorChange) error {
	header, err := t.checkCertified(change.Header, change.Certificate)
	if err != nil {
		return err
	}
	if header.Height < t.sets[len(t.sets)-1].height {
		return errors.New("the change is not above the one before")
	}
	var validators Validators
	for _, each := range change.Validators {
		validators = append(validators, Validator{each.PublicKey, each.Power})
	}
	if err := validators.check(); err != nil {
		return err
	}
	if hash := validators.Hash(); !bytes.Equal(hash[:], header.NextValidatorsHash) {
		return ErrValidatorsHash
	}
	t.sets = append(t.sets, validatorsSince{header.Height + 1, validators})
	return nil
}

func (t *TrustPath) checkCertified(raw, certificate []byte) (*fedcoinv1.BlockHeader, error) {
	header := new(fedcoinv1.BlockHeader)
	if err := Decode(raw, header); err != nil {
		return nil, err
	}
	if header.ChainId != t.genesis.ChainID {
		return nil, fmt.Errorf("the header is %w: %q", ErrChain, header.ChainId)
	}
	validators := t.sets[0].validators
	for _, each := range t.sets {
		if each.height <= header.Height {
			validators = each.validators
		}
	}
	_, err := validators.VerifyCertificate(certificate, t.genesis.Hash, header.Height, sha256.Sum256(raw))
	return header, err
}

// A ProvedPayment is a payment and the block that made it, both proved.
type ProvedPayment struct {
	BlockHash Hash
	Header    *fedcoinv1.BlockHeader
	Payment   *fedcoinv1.PaymentReceipt
}

// CheckPayment checks a proof, as GetPaymentProof returns it, and returns what it proves. The proof's field
// `payment` is ignored: the payment is read from the receipt that the Merkle path proves.
func (t *TrustPath) CheckPayment(proof *fedcoinv1.PaymentProof) (*ProvedPayment, error) {
	header, err := t.checkCertified(proof.Header, proof.Certificate)
	if err != nil {
		return nil, err
	}
	if !VerifyPath(proof.Receipt, proof.Index, proof.Count, proof.Path, header.ReceiptsRoot) {
		return nil, ErrRoot
	}
	var receipt fedcoinv1.Receipt
	if err := Decode(proof.Receipt, &receipt); err != nil {
		return nil, err
	}
	payment := receipt.GetPayment()
	if payment == nil {
		return nil, errors.New("the receipt is not of a payment")
	}
	return &ProvedPayment{sha256.Sum256(proof.Header), header, payment}, nil
}
