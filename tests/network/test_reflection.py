"""Both versions of reflection serve every file of the listener's services, and no others."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha import reflection_pb2

import fedcoin.v1
from fedcoin.network.reflection import ALPHA_SERVICE, STABLE_SERVICE, served_pool
from tests.support.paths import PROTO
from tests.support.probe_service import SERVICE, UPLOAD_SERVICE, Probe, probing
from tests.support.wire_descriptors import strip_json_names

MODULES: list[Any] = [
    importlib.import_module(f"fedcoin.v1.{found.name}")
    for found in pkgutil.iter_modules(fedcoin.v1.__path__)
    if found.name.endswith("_service_pb2")
]
BUF = Path(sys.executable).with_name("buf")


def all_services() -> list[str]:
    return [
        service.full_name
        for module in MODULES
        for service in module.DESCRIPTOR.services_by_name.values()
    ]


def compiled(folder: Path) -> dict[str, FileDescriptorProto]:
    """Compile the sources with Buf's compiler, independently of the generated modules."""
    out = folder / "set.binpb"
    command = [str(BUF), "build", str(PROTO), f"--output={out}", "--as-file-descriptor-set"]
    command += ["--exclude-source-info", "--exclude-imports"]
    subprocess.run(command, check=True)
    return {file.name: file for file in FileDescriptorSet.FromString(out.read_bytes()).file}


def test_every_file_of_every_service_is_described_as_it_was_written(tmp_path: Path) -> None:
    expected = compiled(tmp_path)
    pool = served_pool([*all_services(), ALPHA_SERVICE, STABLE_SERVICE])
    for name in needed_by_services(expected):
        file = expected[name]
        served = FileDescriptorProto()
        pool.FindFileByName(name).CopyToProto(served)
        for message in (served, file):
            strip_json_names(message)
        assert served == file, name


def needed_by_services(files: dict[str, FileDescriptorProto]) -> set[str]:
    """Return the names of the files with services, and of those that they import."""
    needed: set[str] = set()
    waiting = [name for name, file in files.items() if file.service]
    while waiting:
        name = waiting.pop()
        if name in files and name not in needed:
            needed.add(name)
            waiting.extend(files[name].dependency)
    assert len(needed) > len(MODULES)
    return needed


def test_a_listener_describes_nothing_but_its_own_services() -> None:
    pool = served_pool([SERVICE])
    assert pool.FindServiceByName(SERVICE).file.name == "fedcoin/v1/artifact_service.proto"
    for other in ("AdminService", "ArtifactUploadService"):
        with pytest.raises(KeyError):
            pool.FindServiceByName(f"fedcoin.v1.{other}")


def test_an_unknown_service_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        served_pool(["fedcoin.v1.Nothing"])


def test_the_stable_protocol_is_the_old_one_renamed() -> None:
    pool = served_pool([ALPHA_SERVICE, STABLE_SERVICE])
    alpha, stable = FileDescriptorProto(), FileDescriptorProto()
    pool.FindServiceByName(ALPHA_SERVICE).file.CopyToProto(alpha)
    pool.FindServiceByName(STABLE_SERVICE).file.CopyToProto(stable)
    alpha.ClearField("options")
    assert str(stable) == str(alpha).replace("v1alpha", "v1")


@pytest.mark.parametrize("service", [ALPHA_SERVICE, STABLE_SERVICE])
async def test_both_dialects_answer_every_question(service: str) -> None:
    pool = served_pool([ALPHA_SERVICE, STABLE_SERVICE])
    package = service.rpartition(".")[0]
    request_type = message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{package}.ServerReflectionRequest")
    )
    response_type = message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{package}.ServerReflectionResponse")
    )
    questions: list[Any] = [
        request_type(list_services=""),
        request_type(file_by_filename="fedcoin/v1/artifact_service.proto"),
        request_type(file_containing_symbol=SERVICE),
        request_type(file_containing_symbol=service),
        request_type(file_containing_symbol="fedcoin.v1.AdminService"),
        request_type(all_extension_numbers_of_type="fedcoin.v1.ArtifactManifest"),
        request_type(),
        request_type(file_containing_symbol=f"{SERVICE}.Download"),
        request_type(file_containing_symbol=f"{SERVICE}.Upload"),
        request_type(file_containing_symbol=f"{service}.ServerReflectionInfo"),
    ]
    async with probing(Probe()) as (channel, _):
        method: Any = channel.stream_stream(
            f"/{service}/ServerReflectionInfo",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response_type.FromString,
        )
        answers: list[Any] = [answer async for answer in method(iter(questions))]
    names = [found.name for found in answers[0].list_services_response.service]
    assert names == sorted(
        [SERVICE, UPLOAD_SERVICE, ALPHA_SERVICE, STABLE_SERVICE, "grpc.health.v1.Health"]
    )
    for answer in (answers[1], answers[2], answers[7]):
        # The file itself comes first, then those that it imports.
        raw, *_ = answer.file_descriptor_response.file_descriptor_proto
        assert "artifact_service" in FileDescriptorProto.FromString(raw).name
    (raw,) = answers[3].file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(raw).package == package
    assert answers[4].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert answers[5].all_extension_numbers_response.base_type_name.endswith("ArtifactManifest")
    assert answers[8].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    (raw,) = answers[9].file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(raw).package == package
    assert answers[6].error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


def test_the_default_pool_is_left_alone() -> None:
    served_pool([STABLE_SERVICE])
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindServiceByName(STABLE_SERVICE)
    assert reflection_pb2.DESCRIPTOR.package == "grpc.reflection.v1alpha"
