package fedcoin

import (
	"bytes"
	"crypto/sha256"

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

// TransactionHash returns the hash of a serialised SignedTransaction, which does not cover its signature.
func TransactionHash(raw []byte) (Hash, error) {
	var signed fedcoinv1.SignedTransaction
	if err := Decode(raw, &signed); err != nil {
		return Hash{}, err
	}
	return sha256.Sum256(bytes.Join([][]byte{[]byte("fedcoin/txid/v1\x00"), signed.PublicKey, signed.Body}, nil)), nil
}
