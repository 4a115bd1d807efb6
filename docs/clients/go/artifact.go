package fedcoin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"example.com/fedcoin/fedcoinv1"
)

// ChunkBytes is the size of an artifact's chunks; the last one may be shorter.
const ChunkBytes = 262_144

// NewManifest cuts an artifact, which must not be empty, into chunks and hashes them.
func NewManifest(data []byte) *fedcoinv1.ArtifactManifest {
	manifest := &fedcoinv1.ArtifactManifest{Size: uint64(len(data))}
	var hashes []Hash
	for start := 0; start < len(data); start += ChunkBytes {
		hash := LeafHash(data[start:min(start+ChunkBytes, len(data))])
		hashes = append(hashes, hash)
		manifest.ChunkHashes = append(manifest.ChunkHashes, hash[:])
	}
	id := MerkleRoot(hashes)
	manifest.Id = id[:]
	return manifest
}

// checkManifest tells whether a manifest from a node belongs to an artifact's id.
func checkManifest(manifest *fedcoinv1.ArtifactManifest, id Hash) error {
	hashes := make([]Hash, 0, len(manifest.GetChunkHashes()))
	for _, hash := range manifest.GetChunkHashes() {
		if len(hash) != sha256.Size {
			return errors.New("the manifest has a hash of a wrong length")
		}
		hashes = append(hashes, Hash(hash))
	}
	if chunks := (manifest.GetSize() + ChunkBytes - 1) / ChunkBytes; chunks != uint64(len(hashes)) || chunks == 0 {
		return fmt.Errorf("the manifest has %d chunks for %d bytes", len(hashes), manifest.GetSize())
	}
	if MerkleRoot(hashes) != id {
		return errors.New("the manifest belongs to another artifact")
	}
	return nil
}

// Upload stores an artifact on the node and returns its id. After a break it continues with the first chunk that
// the node lacks.
func (c *Client) Upload(ctx context.Context, data []byte) (Hash, error) {
	manifest := NewManifest(data)
	for wait := (pause{}); ; wait.wait(ctx) {
		err := c.uploadOnce(ctx, manifest, data)
		if err == nil || ctx.Err() != nil || !isPassing(err) {
			return Hash(manifest.Id), Explain(err)
		}
	}
}

func (c *Client) uploadOnce(ctx context.Context, manifest *fedcoinv1.ArtifactManifest, data []byte) error {
	status, err := c.Uploads.GetUploadStatus(ctx, &fedcoinv1.GetUploadStatusRequest{Id: manifest.Id})
	if err != nil || status.Complete {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.Uploads.Upload(ctx)
	if err != nil {
		return err
	}
	request := &fedcoinv1.UploadRequest{Part: &fedcoinv1.UploadRequest_Manifest{Manifest: manifest}}
	for next := status.NextChunk; ; next++ {
		// A failed Send is io.EOF; the reason for it comes with the reply.
		if err := stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if err != nil || int(next) == len(manifest.ChunkHashes) {
			_, err := stream.CloseAndRecv()
			return err
		}
		start := int(next) * ChunkBytes
		chunk := &fedcoinv1.ArtifactChunk{Index: next, Data: data[start:min(start+ChunkBytes, len(data))]}
		request = &fedcoinv1.UploadRequest{Part: &fedcoinv1.UploadRequest_Chunk{Chunk: chunk}}
	}
}

// Download fetches an artifact and checks every chunk. After a break it continues with the first chunk that is
// missing. maxBytes bounds what is held in memory.
func (c *Client) Download(ctx context.Context, id Hash, maxBytes uint64) ([]byte, error) {
	reply, err := c.Artifacts.GetManifest(ctx, &fedcoinv1.GetManifestRequest{Id: id[:]})
	if err != nil {
		return nil, err
	}
	manifest := reply.GetManifest()
	if err := checkManifest(manifest, id); err != nil {
		return nil, err
	}
	if manifest.Size > maxBytes {
		return nil, fmt.Errorf("the artifact has %d bytes; at most %d are wanted", manifest.Size, maxBytes)
	}
	data := make([]byte, 0, manifest.Size)
	for wait := (pause{}); ; wait.wait(ctx) {
		data, err = c.downloadOnce(ctx, manifest, data)
		if err == nil {
			return data, nil
		}
		if ctx.Err() != nil || !isPassing(err) {
			return nil, Explain(err)
		}
	}
}

func (c *Client) downloadOnce(
	ctx context.Context, manifest *fedcoinv1.ArtifactManifest, data []byte,
) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := uint32(len(data) / ChunkBytes)
	stream, err := c.Artifacts.Download(ctx, &fedcoinv1.DownloadRequest{Id: manifest.Id, FirstChunk: next})
	if err != nil {
		return data, err
	}
	for ; int(next) < len(manifest.ChunkHashes); next++ {
		chunk, err := stream.Recv()
		if err != nil {
			return data, err
		}
		if chunk.Index != next || LeafHash(chunk.Data) != Hash(manifest.ChunkHashes[next]) {
			return data, fmt.Errorf("the node sent a wrong chunk %d", next)
		}
		data = append(data, chunk.Data...)
	}
	if uint64(len(data)) != manifest.Size {
		return data, errors.New("the chunks and the manifest disagree on the size")
	}
	return data, nil
}
