"""Server reflection, with which tools such as grpcurl list, describe and call without .proto files.

Tools use one of two versions of the protocol, `grpc.reflection.v1` or the older
`grpc.reflection.v1alpha`. Their messages are the same on the wire and differ only in the package's
name, but gRPC's Python package has v1alpha alone. So the v1 service here is v1alpha's servicer
under the other name, and its descriptor is v1alpha's with the package renamed, so that a tool can
describe the service that it calls.

Descriptors are served from a pool that holds the files of the listener's services with their
imports, the messages that are stored or signed although no method carries them, and the details of
errors; not everything that this process has loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import error_details_pb2  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection, reflection_pb2

from fedcoin.v1 import artifact_pb2, genesis_pb2, state_pb2, transaction_pb2

_ALPHA = "grpc.reflection.v1alpha"
_STABLE = "grpc.reflection.v1"
_METHOD = "ServerReflectionInfo"

# What every listener describes, whatever it serves.
_ALWAYS: tuple[Any, ...] = (
    artifact_pb2,
    genesis_pb2,
    state_pb2,
    transaction_pb2,
    error_details_pb2,
)

ALPHA_SERVICE = f"{_ALPHA}.ServerReflection"
"""The full name of the older reflection service."""
STABLE_SERVICE = f"{_STABLE}.ServerReflection"
"""The full name of the reflection service."""


def add_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Serve reflection, in both versions, for some services and for itself.

    Args:
        server: A server that has not been started yet.
        services: Full names of the services, such as `fedcoin.v1.NodeService`, whose descriptors
            have been imported; KeyError when one has not.
    """
    names = sorted({*services, ALPHA_SERVICE, STABLE_SERVICE})
    servicer = reflection.aio.ReflectionServicer(names, pool=MethodFindingPool(served_pool(names)))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [
            grpc.method_handlers_generic_handler(service, {_METHOD: handler})
            for service in (ALPHA_SERVICE, STABLE_SERVICE)
        ]
    )


class MethodFindingPool:
    """A pool that finds the files of methods, too, as the protocol of reflection demands.

    Protobuf's pool in Python finds services and messages by their names, but raises KeyError for a
    method's name, such as `fedcoin.v1.NodeService.GetStatus`.
    """

    def __init__(self, pool: descriptor_pool.DescriptorPool) -> None:
        """Wrap a pool.

        Args:
            pool: Finds everything but methods.
        """
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """Find the file that defines a name; gRPC's servicer calls this.

        Args:
            symbol: The full name of a service, method, message, field or enum.

        Returns:
            The file's descriptor.

        Raises:
            KeyError: No file of the pool defines the name.
        """
        service, _, method = symbol.rpartition(".")
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            found = self._pool.FindServiceByName(service)
            if method not in found.methods_by_name:
                raise
            return found.file


def served_pool(services: Iterable[str]) -> descriptor_pool.DescriptorPool:
    """Make a pool with the files of some services, and those that every listener describes.

    Args:
        services: Full names of the services, whose descriptors have been imported.

    Returns:
        A pool of descriptors for reflection.
    """
    known = descriptor_pool.Default()
    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()
    for module in _ALWAYS:
        _add_with_imports(pool, module.DESCRIPTOR, added)
    for service in services:
        if service == STABLE_SERVICE:
            pool.Add(stable_file())
        else:
            _add_with_imports(pool, known.FindServiceByName(service).file, added)
    return pool


def _add_with_imports(
    pool: descriptor_pool.DescriptorPool, file: FileDescriptor, added: set[str]
) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for imported in file.dependencies:
        _add_with_imports(pool, imported, added)
    pool.Add(_as_proto(file))


def stable_file() -> FileDescriptorProto:
    """Describe the stable version of reflection.

    Returns:
        v1alpha's file with the package renamed: the stable version differs in nothing else.
    """
    file = _as_proto(reflection_pb2.DESCRIPTOR)
    file.package = _STABLE
    file.name = file.name.replace("v1alpha", "v1")
    file.ClearField("options")  # they only name the packages of other languages
    for message in file.message_type:
        for field in message.field:
            if field.HasField("type_name"):
                field.type_name = _renamed(field.type_name)
    for service in file.service:
        for method in service.method:
            method.input_type = _renamed(method.input_type)
            method.output_type = _renamed(method.output_type)
    return file


def _renamed(type_name: str) -> str:
    return type_name.replace(f".{_ALPHA}.", f".{_STABLE}.")


def _as_proto(file: FileDescriptor) -> FileDescriptorProto:
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    return proto
