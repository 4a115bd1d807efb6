from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.application.configuration import config_sources
from fedcoin.application.configuration.config import NodeConfig, tables
from fedcoin.application.configuration.config_sources import assemble, load_config, render_config
from fedcoin.application.configuration.fields import endpoint_of
from fedcoin.application.errors import ApplicationCode
from fedcoin.contract.actions.campaigns import MAX_SHARDS
from fedcoin.contract.actions.receipt_terms import MAX_TASK_MS
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import SAP_PER_FDC
from tests.conftest import ReportAttack
from tests.support.keys import ALICE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def every_setting() -> list[str]:
    return [
        f"{table}.{entry.name}"
        for table, make in tables().items()
        for entry in dataclasses.fields(make)
    ]


def refused(code: ApplicationCode, *arguments: object, **given: object) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        load_config(*arguments, **given)  # type: ignore[arg-type]
    assert caught.value.code is code
    return caught.value


def test_a_fresh_file_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(render_config())
    assert load_config(path, {}) == NodeConfig()


def test_every_commented_line_is_the_real_default(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    text = re.sub(r"^# ([a-z_]+ = )", r"\1", render_config(), flags=re.MULTILINE)
    path.write_text(text)
    assert len(re.findall(r"^[a-z_]+ = ", text, flags=re.MULTILINE)) == len(every_setting())
    assert load_config(path, {}) == NodeConfig()


def test_every_setting_is_explained() -> None:
    lines = render_config().splitlines()
    for at, line in enumerate(lines):
        if re.match(r"# [a-z_]+ = ", line):
            assert re.match(r"# [A-Z].*\.$|# mlp, cnn.*\.$", lines[at - 1]), line


def test_defaults_pass_their_own_checks() -> None:
    for table, make in tables().items():
        for entry in dataclasses.fields(make):
            value = getattr(getattr(NodeConfig(), table), entry.name)
            kind = entry.metadata["kind"]
            as_toml = list(value) if isinstance(value, tuple) else value
            assert kind.parse(as_toml) == value, f"{table}.{entry.name}"


def test_flag_then_variable_then_file_then_default(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(render_config({"api.listen": "127.0.0.1:1", "log.level": "debug"}))
    variables = {"FEDCOIN_API_LISTEN": "127.0.0.1:2", "FEDCOIN_HOME": "/x", "PATH": "/bin"}
    assert load_config(path, {}).api.listen == "127.0.0.1:1"
    assert load_config(path, variables).api.listen == "127.0.0.1:2"
    flags = {"api.listen": "127.0.0.1:3", "peers.listen": None}
    config = load_config(path, variables, flags)
    assert config.api.listen == "127.0.0.1:3"
    assert config.peers == NodeConfig().peers
    assert config.log.level == "debug"


def test_variables_of_every_kind() -> None:
    config = load_config(
        None,
        {
            "FEDCOIN_PEERS_SEEDS": f"{'ab' * 32}@127.0.0.1:1, [::1]:2",
            "FEDCOIN_MINER_ENABLED": "yes",
            "FEDCOIN_COORDINATOR_BUDGET": "2.5fdc",
            "FEDCOIN_COORDINATOR_SPLIT": "8,1,1",
            "FEDCOIN_COORDINATOR_LEARNING_RATE": "0.01",
            "FEDCOIN_COORDINATOR_SPREAD": "decreasing",
            "FEDCOIN_LIMITS_POOL_TRANSACTIONS": "7",
            "FEDCOIN_LIMITS_EXEMPT_HOSTS": "192.0.2.7, fd00::/8",
            "FEDCOIN_PEERS_REFUSED_KEYS": "ab" * 32,
        },
    )
    assert config.peers.seeds == (f"{'ab' * 32}@127.0.0.1:1", "[::1]:2")
    assert config.miner.enabled
    assert config.coordinator.budget == 5 * SAP_PER_FDC // 2
    assert config.coordinator.split == (8, 1, 1)
    assert config.coordinator.learning_rate == 0.01
    assert config.coordinator.spread == "decreasing"
    assert config.limits.pool_transactions == 7
    assert config.limits.exempt_hosts == ("192.0.2.7/32", "fd00::/8")
    assert config.peers.refused_keys == ("ab" * 32,)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("API_LISTEN", "nowhere"),
        ("API_LISTEN", "127.0.0.1:70000"),
        ("API_LISTEN", ""),
        ("PEERS_SEEDS", "a:1,b"),
        ("PEERS_SEEDS", "abc@a:1"),
        ("PEERS_REFUSED_KEYS", "AB" * 32),
        ("PEERS_REFUSED_KEYS", "ab"),
        ("LIMITS_EXEMPT_HOSTS", "example.org"),
        ("LIMITS_EXEMPT_HOSTS", "192.0.2.7/24"),
        ("PEERS_LISTEN", f"{'ab' * 32}@127.0.0.1:1"),
        ("PEERS_MAX_INBOUND", "many"),
        ("PEERS_MAX_INBOUND", "-1"),
        ("MINER_ENABLED", "maybe"),
        ("COORDINATOR_BUDGET", "lots"),
        ("COORDINATOR_SPREAD", "sideways"),
        ("COORDINATOR_SPLIT", "7,1"),
        ("COORDINATOR_SPLIT", "0,0,0"),
        ("COORDINATOR_ROUND_SECONDS", "nan"),
        ("COORDINATOR_KEY", ""),
        ("COORDINATOR_MAX_CLIENTS", "0"),
        ("COORDINATOR_EVALUATION_SHARDS", "-1"),
        ("COORDINATOR_EVALUATION_SHARDS", str(MAX_SHARDS + 1)),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_bad_values_are_named(variable: str, value: str) -> None:
    refusal = refused(ApplicationCode.BAD_CONFIG, None, {f"FEDCOIN_{variable}": value})
    assert refusal.field == variable.lower().replace("_", ".", 1)
    assert repr(value) in refusal.message or "[" in refusal.message or "0" in refusal.message


@pytest.mark.parametrize(
    "text",
    [
        "[api]\nlisten = 5", "[miner]\nenabled = 3", '[peers]\nseeds = "x"', "[peers]\nseeds = 4",
        "[coordinator]\nrounds = 2.5", "[coordinator]\nrounds = true",
        "[coordinator]\nbudget = 1.5",
        "[coordinator]\nround_seconds = true", "not toml",
    ],
)  # fmt: skip
def test_bad_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    refused(ApplicationCode.BAD_CONFIG, path, {})


@pytest.mark.parametrize("text", ["[apis]\nlisten = 'x'", "[api]\nlistn = 'x'", "listen = 'x'"])
def test_unknown_settings(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    refused(ApplicationCode.UNKNOWN_SETTING, path, {})


def test_unknown_variables_and_flags() -> None:
    refused(ApplicationCode.UNKNOWN_SETTING, None, {"FEDCOIN_API_LISTN": "x"})
    refused(ApplicationCode.UNKNOWN_SETTING, None, {}, {"no.such": 1})


def test_plaintext_stays_at_home() -> None:
    for name in ("peers", "api", "coordinator"):
        refusal = refused(ApplicationCode.EXPOSED, None, {}, {f"{name}.listen": "0.0.0.0:1"})
        assert refusal.field == f"{name}.listen"
    flags: dict[str, object] = {"api.listen": "0.0.0.0:1"}
    assert load_config(None, {}, {**flags, "tls.insecure": True}).api.listen == "0.0.0.0:1"
    tls = {"tls.certificate": "a", "tls.private_key": "b", "tls.authority": "c"}
    assert load_config(None, {}, {**flags, **tls}).tls.enabled


def test_tls_is_all_or_nothing() -> None:
    refusal = refused(ApplicationCode.BAD_CONFIG, None, {}, {"tls.certificate": "a"})
    assert "tls.private_key, tls.authority" in refusal.message


def test_a_similarity_limit_is_for_equal_averages() -> None:
    name = "coordinator.similarity_limit"
    assert load_config(None, {}, {name: 0.5}).coordinator.similarity_limit == 0.5
    for given_settings, words in (
        ({name: 0.49}, "0.5 or more"),
        ({name: 1.0}, "0.999999"),
        ({name: 0.9, "coordinator.averaging": "fixed"}, 'averaging = "equal"'),
    ):
        refusal = refused(ApplicationCode.BAD_CONFIG, None, {}, given_settings)
        assert words in refusal.message


def test_a_private_campaign_names_its_clients_and_readers() -> None:
    private, clients, readers = (
        f"coordinator.{name}" for name in ("private", "clients_file", "readers")
    )
    address = format_address(ALICE.address)
    full: dict[str, object] = {private: True, clients: "clients.txt", readers: (address,)}
    assert load_config(None, {}, full).coordinator.readers == (address,)
    for given_settings, words in (
        ({private: True}, "coordinator.clients_file"),
        ({readers: (address,)}, "set coordinator.private"),
        (full | {readers: ("nobody",)}, "nobody"),
    ):
        refusal = refused(ApplicationCode.BAD_CONFIG, None, {}, given_settings)
        assert words in refusal.message


def test_receipt_windows_are_longer_than_rounds(report_attack: ReportAttack) -> None:
    """Else the fastest client opens the round with its own update, before the server can."""
    name, of_rounds = "coordinator.receipt_seconds", "coordinator.round_seconds"
    for window, round_seconds in ((0, 600), (1_200, 600), (3_600, 1_800)):
        load_config(None, {}, {name: window, of_rounds: round_seconds})
    for window, round_seconds in ((1, 600), (1_199, 600), (3_600, 1_801)):
        given_settings = {name: window, of_rounds: round_seconds}
        refusal = refused(ApplicationCode.BAD_CONFIG, None, {}, given_settings)
        assert f"at least twice coordinator.round_seconds, {2 * round_seconds}" in refusal.message
    report_attack(
        "a client registers its receipt at once and opens the round alone when the receipt window,"
        " shorter than the round, is over",
        "only the server could open it",
        "a coordinator takes no window under two rounds (`BAD_CONFIG`)",
    )


@given(
    budget=st.integers(0, 10**15),
    seeds=st.lists(st.integers(0, 65535).map("host-{}:7".format), max_size=3),
    rate=st.floats(0.000001, 1000),
    dataset=st.text(min_size=1),
)
def test_written_settings_are_read_back(
    budget: int, seeds: list[str], rate: float, dataset: str
) -> None:
    given_settings = {
        "coordinator.budget": budget,
        "peers.seeds": seeds,
        "coordinator.learning_rate": rate,
        "coordinator.dataset": dataset,
    }
    document = tomllib.loads(render_config(given_settings))
    flat = {f"{t}.{n}": v for t, content in document.items() for n, v in content.items()}
    assert assemble(flat) == assemble(given_settings)


@pytest.mark.parametrize(
    ("value", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:80", "::1", 80),
        ("node-1.lab:7050", "node-1.lab", 7050),
    ],
)
def test_addresses(value: str, host: str, port: int) -> None:
    endpoint = endpoint_of(value)
    assert (endpoint.host, endpoint.port) == (host, port)


@pytest.mark.parametrize(
    "value", ["", ":1", "host", "host:", "host:x", "::1:80", "a b:1", "h:-1", "h:²"]
)
def test_no_addresses(value: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        endpoint_of(value)


def test_ports_end_at_65535() -> None:
    with pytest.raises(ValueError, match="the port 65536; ports go up to 65535"):
        endpoint_of("h:65536")


def test_loopback() -> None:
    for name in ("127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"):
        assert endpoint_of(name).loopback
    for name in ("0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1"):
        assert not endpoint_of(name).loopback


def test_windows_of_tasks_are_bounded_where_there_are_receipts() -> None:
    assert config_sources.MAX_TASK_SECONDS * 1000 == MAX_TASK_MS
    long: dict[str, object] = {
        "coordinator.commit_seconds": 1_780.0,
        "coordinator.reveal_seconds": 10.0,
        "coordinator.attempts": 2,
    }
    load_config(None, {}, long)
    load_config(None, {}, long | {"coordinator.attempts": 3, "coordinator.receipt_seconds": 0})
    beyond = long | {"coordinator.attempts": 3}
    refusal = refused(ApplicationCode.BAD_CONFIG, None, {}, beyond)
    assert refusal.field == "coordinator.commit_seconds"
    load_config(None, {}, long | {"coordinator.attempts": 3, "coordinator.receipt_seconds": 5_400})


@pytest.mark.parametrize(
    ("written", "given"),
    [("300", {}), ('"300"', {}), (None, {"FEDCOIN_COORDINATOR_BUDGET": "300"})],
)
def test_amounts_in_settings_have_units(
    tmp_path: Path, written: str | None, given: dict[str, str]
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"[coordinator]\nbudget = {written}\n" if written else "")
    refusal = refused(ApplicationCode.BAD_CONFIG, path, given)
    assert "'300' has no unit: write 300fdc or 300sap" in refusal.message
    path.write_text('[coordinator]\nbudget = "300fdc"\nmax_room_fee = 0\n')
    assert load_config(path, {}).coordinator.budget == 300 * SAP_PER_FDC
