//! The one encoding of a message that nodes accept for what is hashed or signed.

use prost::Message;

/// Bytes are not the canonical encoding of a message.
#[derive(Debug, thiserror::Error)]
#[error("not in the canonical encoding of the message")]
pub struct EncodingError;

/// Reads a message from its canonical encoding, which `encode_to_vec` writes, and refuses other bytes.
pub fn decode<M: Message + Default>(raw: &[u8]) -> Result<M, EncodingError> {
    // prost drops unknown fields, so that they are missing when the message is written again.
    let message = M::decode(raw).map_err(|_| EncodingError)?;
    if message.encode_to_vec() == raw {
        Ok(message)
    } else {
        Err(EncodingError)
    }
}
