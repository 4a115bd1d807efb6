package fedcoin

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
)

// ErrEncoding is returned for bytes that are not the canonical encoding of a message.
var ErrEncoding = errors.New("not in the canonical encoding")

// Encode returns the one encoding of a message that nodes accept for what is hashed or signed.
func Encode(message proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(message)
}

// Decode reads a message from its canonical encoding. It fails with ErrEncoding for any other bytes,
// such as those with unknown fields.
func Decode(raw []byte, message proto.Message) error {
	name := message.ProtoReflect().Descriptor().Name()
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, message); err != nil {
		return fmt.Errorf("%s: %w", name, ErrEncoding)
	}
	again, err := Encode(message)
	if err != nil || !bytes.Equal(again, raw) {
		return fmt.Errorf("%s: %w", name, ErrEncoding)
	}
	return nil
}
