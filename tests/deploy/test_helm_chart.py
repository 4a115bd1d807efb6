"""The Helm chart, linted and rendered by the real Helm.

`go install helm.sh/helm/v3/cmd/helm@latest` makes one; HELM names it when it is not on PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from click.testing import CliRunner

from fedcoin.application.cli.root_command import cli
from fedcoin.application.configuration.config_sources import load_config
from tests.support.paths import ROOT

CHART = ROOT / "deploy" / "helm" / "fedcoin"
HELM = shutil.which(os.environ.get("HELM", "helm"))
GENESIS = '{"chain_id": "x"}\n'

pytestmark = [pytest.mark.slow, pytest.mark.skipif(HELM is None, reason="needs Helm")]

VALUES: dict[str, Any] = {
    "genesis": GENESIS,
    "roles": {
        "miner-1": {
            "kind": "miner",
            "keySecret": "key-1",
            "tlsSecret": "tls-1",
            "passphraseSecret": "pass-1",
            "seeds": [f"{'ab' * 32}@net-node-1:7050"],
            "env": {"FEDCOIN_LOG_LEVEL": "debug"},
        },
        "node-1": {"kind": "node", "keySecret": "key-2", "tlsSecret": "tls-2"},
        "coordinator": {
            "kind": "coordinator",
            "keySecret": "key-3",
            "tlsSecret": "tls-3",
            "node": "net-miner-1:7051",
            "args": ["--clients", "3"],
        },
    },
}


def helm(folder: Path, values: object, *command: str) -> subprocess.CompletedProcess[str]:
    assert HELM is not None
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values))
    own = {name: str(folder / name) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME")}
    return subprocess.run(
        [HELM, *command, str(CHART), "--values", str(path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, **own},
    )


def render(folder: Path, values: object) -> dict[tuple[str, str], Any]:
    done = helm(folder, values, "template", "net")
    assert done.returncode == 0, done.stderr
    found = [item for item in yaml.safe_load_all(done.stdout) if item]
    objects = {(item["kind"], item["metadata"]["name"]): item for item in found}
    assert len(objects) == len(found)
    return objects


def pod(objects: dict[tuple[str, str], Any], name: str) -> tuple[Any, Any]:
    """Return a role's pod and its container."""
    spec = objects["StatefulSet", f"net-{name}"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def test_helm_lints_it(tmp_path: Path) -> None:
    done = helm(tmp_path, VALUES, "lint", "--strict")
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


def test_each_role_is_one_pod_with_its_own_key_and_volume(tmp_path: Path) -> None:
    objects = render(tmp_path, VALUES)
    config = objects["ConfigMap", "net-genesis"]["binaryData"]["genesis.json"]
    assert b64decode(config).decode() == GENESIS
    for name, role in VALUES["roles"].items():
        stateful = objects["StatefulSet", f"net-{name}"]["spec"]
        assert stateful["replicas"] == 1
        assert [c["metadata"]["name"] for c in stateful["volumeClaimTemplates"]] == ["home"]
        spec, container = pod(objects, name)
        secrets = {
            each["secret"]["secretName"]: each["secret"]["defaultMode"]
            for each in spec["volumes"]
            if "secret" in each
        }
        wanted = {v for k, v in role.items() if k.endswith("Secret")}
        assert secrets == dict.fromkeys(wanted, 0o440)
        assert spec["securityContext"]["fsGroup"] == 10001
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        mounted = {m["mountPath"] for m in container["volumeMounts"]}
        assert {"/var/lib/fedcoin", "/var/lib/fedcoin/keys/node.key"} <= mounted
        selector = objects["Service", f"net-{name}"]["spec"]["selector"]
        assert selector == stateful["template"]["metadata"]["labels"]


def test_commands_and_variables_are_those_of_the_program(tmp_path: Path) -> None:
    objects = render(tmp_path, VALUES)
    for name in VALUES["roles"]:
        _, container = pod(objects, name)
        commands = [container["args"]]
        commands.append(container["readinessProbe"]["exec"]["command"][1:])
        if "lifecycle" in container:
            commands.append(container["lifecycle"]["preStop"]["exec"]["command"][1:])
        for command in commands:
            # With --help every option is parsed, and nothing is done.
            done = CliRunner().invoke(cli, [*command, "--help"])
            assert done.exit_code == 0, (command, done.output)
        # An unknown variable is refused.
        config = load_config(None, {each["name"]: each["value"] for each in container["env"]})
        assert config.tls.enabled
    assert "lifecycle" in pod(objects, "miner-1")[1]
    assert "--mine" not in pod(objects, "node-1")[1]["args"]


def test_without_tls_probes_are_grpc(tmp_path: Path) -> None:
    role = {"kind": "node", "keySecret": "key-1"}
    values = {"genesis": GENESIS, "insecure": True, "roles": {"a": role}}
    _, container = pod(render(tmp_path, values), "a")
    assert container["readinessProbe"]["grpc"] == {"port": 7051}
    assert {"name": "FEDCOIN_TLS_INSECURE", "value": "true"} in container["env"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"roles": {}}, "genesis is empty"),
        ({"genesis": "x", "roles": {"a": {"kind": "node", "keySecret": "k"}}}, "tlsSecret"),
        ({"genesis": "x", "roles": {"a": {"kind": "king", "keySecret": "k"}}}, "kind"),
        ({"genesis": "x", "roles": {"a": {"kind": "node"}}}, "keySecret"),
        ({"genesis": "x", "roles": {"A": {"kind": "node", "keySecret": "k"}}}, "pattern"),
        ({"genesis": "x", "roles": {"a": {"kind": "coordinator", "keySecret": "k"}}}, "node"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, values: object, said: str) -> None:
    done = helm(tmp_path, values, "template", "net")
    assert (done.returncode != 0, said in done.stderr) == (True, True), done.stderr
