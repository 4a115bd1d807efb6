package fedcoin

import (
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A Refusal is a failed call with the details that a node sends.
type Refusal struct {
	// Code is gRPC's status.
	Code codes.Code
	// Reason is the error code, and Domain the layer that refused; docs/API.md lists them. Both are empty when
	// no node answered.
	Reason, Domain string
	// Field is the field at fault and Limit what it broke; each may be empty.
	Field, Limit string
	// Message is a sentence for people.
	Message string
}

// Error returns the sentence, with status and reason.
func (r *Refusal) Error() string {
	if r.Reason == "" {
		return fmt.Sprintf("%s: %s", r.Code, r.Message)
	}
	return fmt.Sprintf("%s (%s): %s", r.Code, r.Reason, r.Message)
}

// Explain turns the error of a call into a *Refusal, and returns other errors as they are.
func Explain(err error) error {
	given, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	refusal := &Refusal{Code: given.Code(), Message: given.Message()}
	for _, detail := range given.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			refusal.Reason, refusal.Domain = info.Reason, info.Domain
			refusal.Field, refusal.Limit = info.Metadata["field"], info.Metadata["limit"]
		}
	}
	return refusal
}

// isPassing tells whether repeating a call later can help.
func isPassing(err error) bool {
	var refusal *Refusal
	if !errors.As(Explain(err), &refusal) {
		return false
	}
	switch refusal.Code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.Internal:
		return true
	case codes.ResourceExhausted:
		return refusal.Reason == "SLOW_READER" || refusal.Reason == "RATE_LIMITED" || refusal.Reason == "TOO_MANY_CALLS"
	default:
		return false
	}
}
