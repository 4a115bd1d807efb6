import type { BinaryWriter } from "@bufbuild/protobuf/wire";

/** What ts-proto generates for a message. */
export interface Codec<T> {
  encode(message: T): BinaryWriter;
  decode(input: Uint8Array): T;
}

/** Bytes are not the canonical encoding of a message. */
export class EncodingError extends Error {}

/**
 * Returns the one encoding of a message that nodes accept for what is hashed or signed. ts-proto writes fields in the
 * order in which the .proto file declares them; in these messages that is the order of their numbers.
 */
export function encode<T>(codec: Codec<T>, message: T): Buffer {
  return Buffer.from(codec.encode(message).finish());
}

/** Reads a message from its canonical encoding. Throws an EncodingError for any other bytes. */
export function decode<T>(codec: Codec<T>, raw: Uint8Array): T {
  let message: T;
  try {
    message = codec.decode(raw);
  } catch (error) {
    throw new EncodingError(`not an encoding of the message: ${String(error)}`);
  }
  if (!encode(codec, message).equals(raw)) throw new EncodingError("not in the canonical encoding");
  return message;
}
