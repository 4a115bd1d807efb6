"""The table of permissions names every method of every service, and no other."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from fedcoin import v1
from fedcoin.network.api.permissions import PERMISSIONS, ApiRole, Rule
from fedcoin.network.peers.connections.peer_guard import WITHOUT_SESSION
from fedcoin.network.peers.protection.limits import LIMITS


def methods_of(*modules: object) -> set[str]:
    return {
        f"/{service.full_name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()  # type: ignore[attr-defined]
        for method in service.methods
    }


def test_every_method_is_in_the_table() -> None:
    names = [each.name for each in pkgutil.iter_modules(v1.__path__) if each.name.endswith("_pb2")]
    own = methods_of(*(importlib.import_module(f"fedcoin.v1.{name}") for name in names))
    alpha = methods_of(reflection_pb2)
    stable = {name.replace("v1alpha", "v1") for name in alpha}
    health = methods_of(health_pb2) | {"/grpc.health.v1.Health/List"}
    assert own | alpha | stable | health == set(PERMISSIONS)


def test_methods_between_peers_need_a_session_except_the_handshake() -> None:
    between = {kind for kind in LIMITS if "Service/" in kind} - WITHOUT_SESSION
    sessions = {
        name.rpartition(".")[2] for name, rule in PERMISSIONS.items() if rule is Rule.SESSION
    }
    # Artifacts are served to peers and at the API.
    assert sessions == {kind for kind in between if not kind.startswith("ArtifactService/")}


@pytest.mark.parametrize(
    ("role", "includes"),
    [
        (ApiRole.READ, {ApiRole.READ}),
        (ApiRole.SUBMIT, {ApiRole.READ, ApiRole.SUBMIT}),
        (ApiRole.ADMIN, set(ApiRole)),
    ],
)
def test_each_role_includes_those_before_it(role: ApiRole, includes: set[ApiRole]) -> None:
    assert {other for other in ApiRole if role.includes(other)} == includes


def test_nothing_that_changes_something_is_open_to_readers() -> None:
    readable = {name for name, rule in PERMISSIONS.items() if rule is ApiRole.READ}
    changing = ("Submit", "Upload", "Stop", "Backup", "Add", "Drop", "Ban", "Set")
    assert not [name for name in readable if name.rpartition("/")[2].startswith(changing)]
