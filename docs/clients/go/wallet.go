package fedcoin

import (
	"context"
	"fmt"

	"example.com/fedcoin/fedcoinv1"
)

const (
	expiryBlocks = 200
	kib          = 1024
)

// A Wallet signs transactions of one key for one network.
type Wallet struct {
	Client  *Client
	Key     Key
	Genesis *Genesis
	// MaxFeeFactor bounds what is paid when blocks are full, as a multiple of the minimum fee, whatever the node
	// says. 0 means 20.
	MaxFeeFactor uint64
}

// Balance returns the balance of the wallet's key, in sap.
func (w *Wallet) Balance(ctx context.Context) (uint64, error) {
	reply, err := w.Client.Node.GetAccount(ctx, &fedcoinv1.GetAccountRequest{Address: w.Key.Address().String()})
	return reply.GetAccount().GetBalance(), err
}

// Send signs and submits a transfer, and returns when it is final.
func (w *Wallet) Send(ctx context.Context, outputs ...Output) (*fedcoinv1.TransactionView, error) {
	raw, err := w.Sign(ctx, &fedcoinv1.TransactionBody{Action: Transfer(outputs...)})
	if err != nil {
		return nil, err
	}
	return w.Client.Submit(ctx, raw)
}

// Sign fills in chain id, nonce, expiry height and fee, and signs. The body has its action alone.
func (w *Wallet) Sign(ctx context.Context, body *fedcoinv1.TransactionBody) ([]byte, error) {
	status, err := w.Client.Status(ctx)
	if err != nil {
		return nil, err
	}
	account, err := w.Client.Node.GetAccount(ctx, &fedcoinv1.GetAccountRequest{Address: w.Key.Address().String()})
	if err != nil {
		return nil, err
	}
	fees, err := w.Client.Node.GetFees(ctx, &fedcoinv1.GetFeesRequest{})
	if err != nil {
		return nil, err
	}
	body.ChainId, body.Nonce = w.Genesis.ChainID, account.Account.Nonce
	body.ExpiryHeight = status.Height + min(fees.MaxExpiryBlocks, expiryBlocks)
	// The body's length includes the fee, whose own length may grow with it.
	for fee := uint64(0); ; {
		body.Fee = fee
		raw, err := SignTransaction(w.Key, w.Genesis.Hash, body)
		if err != nil {
			return nil, err
		}
		unsigned, err := Encode(body)
		if err != nil {
			return nil, err
		}
		wanted := w.chooseFee(fees, uint64(len(unsigned)), uint64(len(raw)))
		if wanted <= fee {
			return raw, nil
		}
		fee = wanted
	}
}

func (w *Wallet) chooseFee(fees *fedcoinv1.GetFeesResponse, bodyLength, length uint64) uint64 {
	factor := w.MaxFeeFactor
	if factor == 0 {
		factor = 20
	}
	minimum := fees.BaseFee + fees.FeePerKib*((bodyLength+kib-1)/kib)
	kibs := (length + kib - 1) / kib
	return min(max(minimum, fees.MempoolFeeRate*kibs, fees.NextBlockFeeRate*kibs), factor*minimum)
}

// Submit sends a serialised SignedTransaction to the node, and returns when it is final. It fails when the
// transaction is refused or dropped. It is safe to submit the same bytes again.
func (c *Client) Submit(ctx context.Context, raw []byte) (*fedcoinv1.TransactionView, error) {
	submitted, err := c.Transactions.SubmitTransaction(ctx, &fedcoinv1.SubmitTransactionRequest{Transaction: raw})
	if err != nil {
		return nil, err
	}
	for wait := (pause{}); ; wait.wait(ctx) {
		view, err := c.waitOnce(ctx, submitted.Hash)
		if err == nil || ctx.Err() != nil || !isPassing(err) {
			return view, Explain(err)
		}
	}
}

func (c *Client) waitOnce(ctx context.Context, hash string) (*fedcoinv1.TransactionView, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Transactions.WatchTransaction(ctx, &fedcoinv1.WatchTransactionRequest{Hash: hash})
	if err != nil {
		return nil, err
	}
	for {
		update, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		switch view := update.Transaction; view.Status {
		case fedcoinv1.TransactionStatus_TRANSACTION_STATUS_FINAL:
			return view, nil
		case fedcoinv1.TransactionStatus_TRANSACTION_STATUS_DROPPED:
			return view, fmt.Errorf("%s was dropped: %s", hash, view.Reason)
		}
	}
}

// ProvePayments asks the node for the proofs of a task's payments to an address, and checks them. Nothing but the
// genesis is trusted. It proves that these payments were made, not that there were no others.
func (c *Client) ProvePayments(
	ctx context.Context, genesis *Genesis, taskID string, to Address,
) ([]*ProvedPayment, error) {
	reply, err := c.Tasks.GetPaymentProof(
		ctx, &fedcoinv1.GetPaymentProofRequest{TaskId: taskID, Address: to.String()},
	)
	if err != nil {
		return nil, err
	}
	trust := NewTrustPath(genesis)
	for change, err := range c.ValidatorChanges(ctx, 0) {
		if err != nil {
			return nil, err
		}
		if err := trust.Follow(change); err != nil {
			return nil, fmt.Errorf("a change of the validators: %w", err)
		}
	}
	var proved []*ProvedPayment
	for _, proof := range reply.Proofs {
		payment, err := trust.CheckPayment(proof)
		if err != nil {
			return nil, err
		}
		if fmt.Sprintf("%x", payment.Payment.TaskId) != taskID || Address(payment.Payment.Address) != to {
			return nil, fmt.Errorf("the node proved another payment than the one that was asked for")
		}
		proved = append(proved, payment)
	}
	return proved, nil
}
