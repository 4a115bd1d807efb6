"""The descriptors of every service that a node offers, as tools for other languages read them.

The package's own files are compiled when it is built, with their comments, which generators copy
into the stubs. The files of the health service, of reflection and of the details of errors come
from the packages that define them, without comments.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import (  # type: ignore[import-untyped]
    error_details_pb2,
    status_pb2,
)
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from fedcoin.network.reflection import stable_file

_FILE = "descriptors.binpb"

# What a node offers or sends beside the package's own services.
_OTHERS: tuple[Any, ...] = (health_pb2, reflection_pb2, error_details_pb2, status_pb2)


def describe_services() -> FileDescriptorSet:
    """Describe every service of a node, with all that their messages consist of.

    Returns:
        The files of `fedcoin.v1` with their comments, those of the health service, of both versions
        of reflection and of the details of errors, and all imports. Each file comes after those
        that it imports, as compilers demand.
    """
    raw = resources.files("fedcoin.v1").joinpath(_FILE).read_bytes()
    described = FileDescriptorSet.FromString(raw)
    added = {file.name for file in described.file}
    for module in _OTHERS:
        _add_with_imports(described, module.DESCRIPTOR, added)
    described.file.append(stable_file())
    return described


def _add_with_imports(described: FileDescriptorSet, file: FileDescriptor, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for imported in file.dependencies:
        _add_with_imports(described, imported, added)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    described.file.append(proto)
