"""What the checks of a home say of homes with one fault each."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fedcoin.application.certificates import authority, certificate_files
from fedcoin.application.certificates.authority import Lifetime
from fedcoin.application.configuration.config import MinerConfig, NodeConfig, TlsConfig
from fedcoin.application.configuration.home import Home
from fedcoin.application.diagnosis.finding import Level
from fedcoin.application.diagnosis.home_checks import (
    check_certificates,
    check_config,
    check_home,
    is_locked,
)
from fedcoin.data.clock import unix_ms
from fedcoin.network.peers.connections.node_addresses import tls_name
from tests.support.genesis import make_genesis
from tests.support.keys import ALICE, MINERS


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.add_key("node", MINERS[0])
    made.write(make_genesis({MINERS[0]: 10**9}, {ALICE: 10**9}).raw, {})
    return made


def levels(home: Home) -> dict[str, Level]:
    return {found.subject: found.level for found in check_home(home, NodeConfig())}


def test_a_good_home(home: Home) -> None:
    assert set(levels(home).values()) == {Level.OK}
    assert set(levels(home)) == {"home", "genesis", "key node"}


def test_a_key_that_others_can_read(home: Home) -> None:
    home.key_path("node").chmod(0o640)
    assert levels(home)["key node"] is Level.WRONG


def test_a_home_that_others_can_open_and_one_without_genesis_and_key(home: Home) -> None:
    home.root.chmod(0o755)
    home.genesis_path.unlink()
    home.key_path("node").unlink()
    found = levels(home)
    assert found == {"home": Level.WARNING, "genesis": Level.WRONG, "key node": Level.WRONG}


def test_a_missing_folder(tmp_path: Path) -> None:
    assert levels(Home(tmp_path / "nothing")) == {"home": Level.WRONG}


def test_settings_that_are_wrong(home: Home) -> None:
    assert check_config(home, {})[1][0].level is Level.OK
    _, (found,) = check_config(home, {"FEDCOIN_API_LISTEN": "nowhere"})
    assert (found.level, "api.listen" in found.text) == (Level.WRONG, True)


def test_a_home_that_is_in_use(home: Home) -> None:
    assert not is_locked(home)
    with home.locked():
        assert is_locked(home)
    assert not is_locked(home)


@pytest.mark.parametrize(
    ("names_key", "days_ago", "expected"),
    [
        (True, 0, [Level.OK, Level.OK, Level.OK]),
        (True, 350, [Level.WARNING, Level.OK, Level.OK]),
        (True, 400, [Level.WRONG, Level.OK, Level.WRONG]),
        (False, 0, [Level.OK, Level.OK, Level.WRONG]),
    ],
)
def test_certificates(
    home: Home, tmp_path: Path, names_key: bool, days_ago: int, expected: list[Level]
) -> None:
    now = datetime.now(timezone.utc)
    signer = authority.make_authority("consortium", Lifetime(now - timedelta(days_ago), 3650))
    key = ec.generate_private_key(ec.SECP256R1())
    node = home.key_info().public_key if names_key else MINERS[1].public_key
    request = authority.make_request("node", [tls_name(node)], key)
    signed = authority.sign_request(signer, request, Lifetime(now - timedelta(days_ago), 365))
    contents = {
        "certificate": authority.encode_certificate(signed),
        "private_key": authority.encode_key(key, None),
        "authority": authority.encode_certificate(signer.certificate),
    }
    for name, content in contents.items():
        certificate_files.write_new_file(tmp_path / name, content)
    certificate, private_key, trusted = (str(tmp_path / name) for name in contents)
    tls = TlsConfig(certificate, private_key, trusted)
    found = list(check_certificates(home, NodeConfig(tls=tls), unix_ms()))
    assert [each.level for each in found] == expected


def test_plaintext_to_other_machines_is_a_warning(home: Home) -> None:
    (found,) = check_certificates(home, NodeConfig(tls=TlsConfig(insecure=True)), unix_ms())
    assert found.level is Level.WARNING
    (found,) = check_certificates(home, NodeConfig(), unix_ms())
    assert found.level is Level.OK


def test_a_signer_that_is_away(home: Home, tmp_path: Path) -> None:
    miner = MinerConfig(enabled=True, signer=f"unix:{tmp_path}/none.sock")
    (found,) = (one for one in check_home(home, NodeConfig(miner=miner)) if one.subject == "signer")
    assert (found.level, "none.sock" in found.text) == (Level.WRONG, True)
    assert "fedcoin-node signer" in found.advice
