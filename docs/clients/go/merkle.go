package fedcoin

import (
	"bytes"
	"crypto/sha256"
)

// A Hash is a SHA-256 hash.
type Hash = [sha256.Size]byte

// LeafHash hashes the data of a leaf of a Merkle tree (RFC 6962, section 2.1).
func LeafHash(data []byte) Hash {
	return sha256.Sum256(append([]byte{0}, data...))
}

func nodeHash(left, right Hash) Hash {
	return sha256.Sum256(bytes.Join([][]byte{{1}, left[:], right[:]}, nil))
}

// MerkleRoot returns the root over leaves whose hashes are given. Without leaves it is SHA-256 of nothing.
func MerkleRoot(hashes []Hash) Hash {
	if len(hashes) == 0 {
		return sha256.Sum256(nil)
	}
	level := append([]Hash(nil), hashes...)
	for len(level) > 1 {
		parents := level[:0]
		for i := 0; i < len(level); i += 2 {
			if i+1 < len(level) {
				parents = append(parents, nodeHash(level[i], level[i+1]))
			} else {
				parents = append(parents, level[i]) // a node without a sibling moves up unchanged
			}
		}
		level = parents
	}
	return level[0]
}

// VerifyPath tells whether a path leads from the leaf with this index, of count leaves, to a root.
// The path holds the siblings' hashes from the leaf up.
func VerifyPath(leaf []byte, index, count uint32, path [][]byte, root []byte) bool {
	if index >= count {
		return false
	}
	value := LeafHash(leaf)
	for ; count > 1; index, count = index/2, count/2+count%2 {
		if index^1 >= count {
			continue
		}
		if len(path) == 0 || len(path[0]) != sha256.Size {
			return false
		}
		sibling := Hash(path[0])
		path = path[1:]
		if index%2 == 1 {
			value = nodeHash(sibling, value)
		} else {
			value = nodeHash(value, sibling)
		}
	}
	return len(path) == 0 && bytes.Equal(value[:], root)
}
