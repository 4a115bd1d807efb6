package fedcoin

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"example.com/fedcoin/fedcoinv1"
)

// An Output of a transfer sends an amount, in sap, to an address.
type Output struct {
	To     Address
	Amount uint64
}

// Transfer makes the action that moves coins.
func Transfer(outputs ...Output) *fedcoinv1.TransactionBody_Transfer {
	action := &fedcoinv1.Transfer{}
	for _, output := range outputs {
		action.Outputs = append(action.Outputs, &fedcoinv1.TransferOutput{Recipient: output.To[:], Amount: output.Amount})
	}
	return &fedcoinv1.TransactionBody_Transfer{Transfer: action}
}

// SignTransaction serialises a body once, signs these bytes, and returns the serialised SignedTransaction.
func SignTransaction(key Key, genesisHash Hash, body *fedcoinv1.TransactionBody) ([]byte, error) {
	raw, err := Encode(body)
	if err != nil {
		return nil, err
	}
	return Encode(&fedcoinv1.SignedTransaction{
		Body:      raw,
		PublicKey: key.PublicKey(),
		Signature: key.Sign(ContextTransaction, genesisHash, raw),
	})
}

// TransactionHash returns the hash of a serialised SignedTransaction, which covers no signature. It does not depend on
// which keys of an account of several have signed.
func TransactionHash(raw []byte) (Hash, error) {
	var signed fedcoinv1.SignedTransaction
	if err := Decode(raw, &signed); err != nil {
		return Hash{}, err
	}
	label, sender := []byte("fedcoin/txid/v1\x00"), signed.PublicKey
	if policy := signed.Policy; policy != nil {
		hash := policyHash(policy)
		label, sender = []byte("fedcoin/policy-txid/v1\x00"), hash[:]
	}
	return sha256.Sum256(bytes.Join([][]byte{label, sender, signed.Body}, nil)), nil
}

// policyHash hashes which keys an account has, and how many must sign. Its first 20 bytes are the account's address.
func policyHash(policy *fedcoinv1.KeyPolicy) Hash {
	hashed := []byte("fedcoin/policy/v1\x00")
	hashed = binary.BigEndian.AppendUint32(hashed, policy.Threshold)
	hashed = binary.BigEndian.AppendUint32(hashed, uint32(len(policy.PublicKeys)))
	return sha256.Sum256(append(hashed, bytes.Join(policy.PublicKeys, nil)...))
}
