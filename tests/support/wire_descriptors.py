"""The services and messages of the wire format, from the generated stubs."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto

import fedcoin.v1


def file_descriptors() -> Iterator[Any]:
    """Yield the descriptor of each file in proto/."""
    for module in pkgutil.iter_modules(fedcoin.v1.__path__):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(f"fedcoin.v1.{module.name}").DESCRIPTOR


def service_descriptors() -> dict[str, ServiceDescriptor]:
    """Return the services by name."""
    return {name: s for file in file_descriptors() for name, s in file.services_by_name.items()}


def message_descriptors() -> dict[str, Descriptor]:
    """Return the messages by name, without those that another message contains."""
    return {
        name: m for file in file_descriptors() for name, m in file.message_types_by_name.items()
    }


def method_descriptors() -> dict[str, MethodDescriptor]:
    """Return the RPCs by `Service/Method`."""
    return {f"{s.name}/{m.name}": m for s in service_descriptors().values() for m in s.methods}


def strip_json_names(file: FileDescriptorProto) -> None:
    """Remove what compilers write into descriptor sets, but not into generated code."""
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")
