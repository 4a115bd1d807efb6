"""`fedcoin-node api`: what programs in other languages need to call a node."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fedcoin.application.cli.shared.options import example
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError


@click.group(epilog=example("fedcoin-node api descriptor --out fedcoin.binpb"))
def api() -> None:
    """Write what programs in other languages need to call a node."""


@api.command(
    epilog=example(
        "fedcoin-node api descriptor --out fedcoin.binpb",
        "buf generate fedcoin.binpb --template buf.gen.yaml",
        "grpcurl -protoset fedcoin.binpb describe fedcoin.v1.NodeService.GetStatus",
    )
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file, which may exist; without it, to standard output.",
)
def descriptor(out: Path | None) -> None:
    """Write the descriptors of all services: a serialised google.protobuf.FileDescriptorSet.

    It holds all messages with their comments, and the services of health checks and reflection.
    Buf, protoc (--descriptor_set_in) and grpcurl (-protoset) read it in place of .proto files.
    """
    from fedcoin.network.api.descriptors import describe_services

    if out is None and sys.stdout.isatty():
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            "out: descriptors are binary, and standard output is a terminal: give --out FILE",
            field="out",
        )
    raw = describe_services().SerializeToString(deterministic=True)
    if out is None:
        sys.stdout.buffer.write(raw)
    else:
        out.write_bytes(raw)
