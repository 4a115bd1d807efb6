package fedcoin

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"example.com/fedcoin/fedcoinv1"
)

const (
	// callTimeout bounds each call with a single reply whose context has no deadline.
	callTimeout = time.Minute
	minPause    = 200 * time.Millisecond
	maxPause    = 10 * time.Second
)

// A Client calls one node. Its fields are the stubs of the node's services. All methods return errors of calls
// as *Refusal.
type Client struct {
	Node         fedcoinv1.NodeServiceClient
	Transactions fedcoinv1.TransactionServiceClient
	Tasks        fedcoinv1.ShapleyTaskServiceClient
	Artifacts    fedcoinv1.ArtifactServiceClient
	Uploads      fedcoinv1.ArtifactUploadServiceClient

	connection *grpc.ClientConn
}

// Dial makes a client of the node at host:port. It connects with the first call. The options must hold
// credentials: insecure.NewCredentials() for a node on this machine, credentials.NewTLS for others.
func Dial(target string, options ...grpc.DialOption) (*Client, error) {
	// Nodes accept a ping every 5 s. Pings find out that a connection is dead.
	alive := keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}
	options = append([]grpc.DialOption{grpc.WithKeepaliveParams(alive), grpc.WithUnaryInterceptor(withDeadline)}, options...)
	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, err
	}
	return &Client{
		Node:         fedcoinv1.NewNodeServiceClient(connection),
		Transactions: fedcoinv1.NewTransactionServiceClient(connection),
		Tasks:        fedcoinv1.NewShapleyTaskServiceClient(connection),
		Artifacts:    fedcoinv1.NewArtifactServiceClient(connection),
		Uploads:      fedcoinv1.NewArtifactUploadServiceClient(connection),
		connection:   connection,
	}, nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.connection.Close() }

func withDeadline(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	return Explain(invoke(ctx, method, request, reply, connection, options...))
}

// Status returns the node's identity, height and more.
func (c *Client) Status(ctx context.Context) (*fedcoinv1.GetStatusResponse, error) {
	return c.Node.GetStatus(ctx, &fedcoinv1.GetStatusRequest{})
}

// Blocks lists the blocks that the node keeps, the highest first, in pages of a size; 0 means the node's default.
func (c *Client) Blocks(ctx context.Context, pageSize uint32) iter.Seq2[*fedcoinv1.BlockView, error] {
	return pages(func(token string) ([]*fedcoinv1.BlockView, string, error) {
		page, err := c.Node.ListBlocks(ctx, &fedcoinv1.ListBlocksRequest{PageSize: pageSize, PageToken: token})
		return page.GetBlocks(), page.GetNextPageToken(), err
	})
}

// Validators lists the validators of the next height.
func (c *Client) Validators(ctx context.Context) iter.Seq2[*fedcoinv1.ValidatorView, error] {
	return pages(func(token string) ([]*fedcoinv1.ValidatorView, string, error) {
		page, err := c.Node.ListValidators(ctx, &fedcoinv1.ListValidatorsRequest{PageToken: token})
		return page.GetValidators(), page.GetNextPageToken(), err
	})
}

// ValidatorChanges lists the blocks below a height that changed the validators, the lowest first.
func (c *Client) ValidatorChanges(ctx context.Context, below uint64) iter.Seq2[*fedcoinv1.ValidatorChange, error] {
	return pages(func(token string) ([]*fedcoinv1.ValidatorChange, string, error) {
		page, err := c.Node.ListValidatorChanges(
			ctx, &fedcoinv1.ListValidatorChangesRequest{PageToken: token, BelowHeight: below},
		)
		return page.GetChanges(), page.GetNextPageToken(), err
	})
}

// TasksOf lists the tasks of a campaign, the latest first; of all campaigns when the id is empty.
func (c *Client) TasksOf(ctx context.Context, campaignID string) iter.Seq2[*fedcoinv1.TaskView, error] {
	return pages(func(token string) ([]*fedcoinv1.TaskView, string, error) {
		page, err := c.Tasks.ListTasks(ctx, &fedcoinv1.ListTasksRequest{CampaignId: campaignID, PageToken: token})
		return page.GetTasks(), page.GetNextPageToken(), err
	})
}

// pages yields the items of all pages; an error is the last thing that it yields.
func pages[T any](fetch func(token string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			items, next, err := fetch(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// Watch yields the events of each block from a height on, in order and without a gap, until the context ends. 0 means
// the next new block. When the stream breaks, it calls again with growing pauses and continues behind the last block.
// It yields an error, as its last, when calling again cannot help. With addresses it yields their events only.
func (c *Client) Watch(
	ctx context.Context, fromHeight uint64, addresses ...Address,
) iter.Seq2[*fedcoinv1.WatchEventsResponse, error] {
	request := &fedcoinv1.WatchEventsRequest{FromHeight: fromHeight}
	for _, address := range addresses {
		request.Addresses = append(request.Addresses, address.String())
	}
	return func(yield func(*fedcoinv1.WatchEventsResponse, error) bool) {
		var wait pause
		for {
			err := c.watchOnce(ctx, request, &wait, yield)
			if errors.Is(err, errStopped) {
				return
			}
			if ctx.Err() != nil || err != nil && !errors.Is(err, io.EOF) && !isPassing(err) {
				yield(nil, Explain(err))
				return
			}
			wait.wait(ctx)
		}
	}
}

var errStopped = errors.New("the caller has seen enough")

func (c *Client) watchOnce(
	ctx context.Context, request *fedcoinv1.WatchEventsRequest, wait *pause,
	yield func(*fedcoinv1.WatchEventsResponse, error) bool,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if request.FromHeight == 0 {
		// A height of its own: a stream that breaks before its first block must not skip one.
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		request.FromHeight = status.Height + 1
	}
	stream, err := c.Node.WatchEvents(ctx, request)
	if err != nil {
		return err
	}
	for {
		events, err := stream.Recv()
		if err != nil {
			return err
		}
		request.FromHeight = events.Block.Height + 1
		*wait = pause{}
		if !yield(events, nil) {
			return errStopped
		}
	}
}

// A pause grows with each failure in a row.
type pause struct{ length time.Duration }

func (p *pause) wait(ctx context.Context) {
	p.length = min(max(2*p.length, minPause), maxPause)
	jittered := p.length/2 + rand.N(p.length/2)
	select {
	case <-ctx.Done():
	case <-time.After(jittered):
	}
}
