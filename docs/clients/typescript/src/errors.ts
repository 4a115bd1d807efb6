import { type ServiceError, status } from "@grpc/grpc-js";

import { ErrorInfo } from "./gen/google/rpc/error_details.js";
import { Status } from "./gen/google/rpc/status.js";

/** A failed call with the details that a node sends. */
export class Refusal extends Error {
  constructor(
    readonly status: status,
    /** The error code, and the layer that refused; docs/API.md lists them. Both are empty when no node answered. */
    readonly reason: string,
    readonly domain: string,
    /** The field at fault, and what it broke; each may be empty. */
    readonly field: string,
    readonly limit: string,
    message: string,
  ) {
    super(reason ? `${status} (${reason}): ${message}` : message);
    this.sentence = message;
  }

  /** A sentence for people. */
  readonly sentence: string;
}

/** Turns the error of a call into a Refusal, and returns other errors as they are. */
export function explain(error: unknown): unknown {
  if (!isServiceError(error)) return error;
  const [raw] = error.metadata.get("grpc-status-details-bin");
  const details = Buffer.isBuffer(raw) ? Status.decode(raw).details : [];
  const found = details.find((each) => each.typeUrl.endsWith("/google.rpc.ErrorInfo"));
  const info = ErrorInfo.decode(found?.value ?? Buffer.alloc(0));
  const { field = "", limit = "" } = info.metadata;
  return new Refusal(error.code, info.reason, info.domain, field, limit, error.details);
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "metadata" in error;
}

const PASSING = [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.ABORTED, status.INTERNAL];
const PASSING_REASONS = ["SLOW_READER", "RATE_LIMITED", "TOO_MANY_CALLS"];

/** Tells whether repeating a call later can help. */
export function isPassing(error: unknown): boolean {
  const refusal = explain(error);
  return refusal instanceof Refusal && (PASSING.includes(refusal.status) || PASSING_REASONS.includes(refusal.reason));
}
