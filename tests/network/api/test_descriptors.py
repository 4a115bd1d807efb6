"""The published descriptors hold every service and load in their order, and breaks of them show."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import error_details_pb2  # type: ignore[import-untyped]

from fedcoin.network import health
from fedcoin.network.api.descriptors import describe_services
from fedcoin.network.reflection import ALPHA_SERVICE, STABLE_SERVICE
from tests.support.paths import PROTO
from tests.support.wire_descriptors import service_descriptors, strip_json_names

BUF = Path(sys.executable).with_name("buf")


def breaks(proto: Path) -> str:
    """Compare the `.proto` files of a folder with the baseline, as `make lint` does."""
    command = [str(BUF), "breaking", str(proto), "--against", str(PROTO / "baseline.binpb")]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def test_every_service_is_described_as_this_program_has_it() -> None:
    pool = descriptor_pool.DescriptorPool()
    for file in describe_services().file:
        pool.Add(file)  # fails when a file comes before one that it imports
    for name, service in service_descriptors().items():
        ours, theirs = FileDescriptorProto(), FileDescriptorProto()
        service.file.CopyToProto(ours)
        pool.FindServiceByName(f"fedcoin.v1.{name}").file.CopyToProto(theirs)
        strip_json_names(theirs)
        assert theirs == ours
    for full_name in (health.SERVICE, ALPHA_SERVICE, STABLE_SERVICE):
        assert pool.FindServiceByName(full_name).methods
    for detail in ("ErrorInfo", "BadRequest"):
        assert pool.FindMessageTypeByName(f"google.rpc.{detail}")
    assert error_details_pb2.ErrorInfo.DESCRIPTOR.file.name == "google/rpc/error_details.proto"


def test_comments_and_package_names_of_other_languages_are_in_it() -> None:
    described = {file.name: file for file in describe_services().file}
    ours = [file for name, file in described.items() if name.startswith("fedcoin/v1/")]
    assert {file.options.go_package for file in ours} == {"example.com/fedcoin/fedcoinv1"}
    assert {file.options.java_package for file in ours} == {"fedcoin.v1"}
    assert {file.options.csharp_namespace for file in ours} == {"Fedcoin.V1"}
    assert len({file.options.java_outer_classname for file in ours}) == len(ours)
    located = described["fedcoin/v1/node_service.proto"].source_code_info.location
    comments = {tuple(each.path): each.leading_comments for each in located}
    assert "height, number of peers" in comments[(6, 0, 2, 0)]


@pytest.mark.slow
def test_a_break_of_the_baseline_is_named(tmp_path: Path) -> None:
    copy = shutil.copytree(PROTO, tmp_path / "proto")
    file = copy / "fedcoin" / "v1" / "views.proto"
    text = file.read_text()
    file.write_text(text.replace("  uint64 balance = 2;", "  int64 balance = 2;"))
    assert breaks(PROTO) == ""
    assert "balance" in breaks(copy)
