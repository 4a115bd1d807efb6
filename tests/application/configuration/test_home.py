from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError

KEY = KeyPair.from_seed(b"\x07" * 32)
GENESIS = write_genesis(
    "lab", 1_700_000_000_000, balances={KEY.address: 5}, bonds={KEY.public_key: 10**10}
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def refused(code: object) -> pytest.RaisesExc[RefusalError]:
    return pytest.raises(RefusalError, check=lambda refusal: refusal.code is code)


def test_a_home_holds_what_was_written(home: Home) -> None:
    assert not home.is_initialised
    home.add_key("node", KEY)
    home.write(GENESIS, {"peers.seeds": ("127.0.0.1:9",)})
    assert home.is_initialised
    assert home.genesis().raw == GENESIS
    assert home.key() == KEY
    assert home.key_names() == ("node",)
    assert home.config({}).peers.seeds == ("127.0.0.1:9",)
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert home.keys_path.stat().st_mode & 0o777 == 0o700


def test_settings_without_a_file(home: Home) -> None:
    assert home.config({}) == NodeConfig()


def test_no_home(home: Home) -> None:
    with refused(ApplicationCode.NO_HOME) as caught:
        home.genesis()
    assert f"init --home {home.root}" in caught.value.message


def test_a_home_is_made_once(home: Home) -> None:
    home.write(GENESIS, {})
    with refused(ApplicationCode.HOME_EXISTS):
        home.write(GENESIS, {})


def test_an_unsound_genesis_makes_no_home(home: Home) -> None:
    with refused(DataCode.BAD_GENESIS):
        home.write(b"{}", {})
    assert not home.root.exists()


def test_a_damaged_genesis(home: Home) -> None:
    home.write(GENESIS, {})
    home.genesis_path.write_bytes(GENESIS[:-20])
    with refused(DataCode.BAD_GENESIS):
        home.genesis()


def test_keys(home: Home) -> None:
    with refused(ApplicationCode.NO_KEY):
        home.key("alice")
    home.add_key("alice", KEY)
    with refused(ApplicationCode.KEY_EXISTS):
        home.add_key("alice", KEY)
    with refused(ApplicationCode.BAD_ARGUMENT):
        home.key("../alice")
    assert home.key_info("alice").address == KEY.address


@pytest.mark.usefixtures("quick_passphrases")
def test_passphrases(home: Home) -> None:
    home.add_key("alice", KEY, "secret")
    with refused(ApplicationCode.NO_PASSPHRASE):
        home.key("alice")
    with refused(DataCode.WRONG_PASSPHRASE):
        home.key("alice", "wrong")
    assert Home(home.root, passphrase="secret").key("alice") == KEY
    assert "secret" not in repr(Home(home.root, passphrase="secret"))


def test_one_process_at_a_time(home: Home) -> None:
    home.write(GENESIS, {})
    program = (
        "import sys; from pathlib import Path\n"
        "from fedcoin.application.configuration.home import Home\n"
        "with Home(Path(sys.argv[1])).locked(): print('mine', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(home.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mine\n"
        with refused(ApplicationCode.HOME_IN_USE), home.locked():
            pass
        # The lock is released however the process ends.
        other.kill()
        other.wait()
        with home.locked():
            pass


def test_no_chain(home: Home) -> None:
    with refused(ApplicationCode.NO_CHAIN):
        home.refuse_without_chain()


def test_unknown_parameters_are_named() -> None:
    with refused(ApplicationCode.BAD_ARGUMENT) as caught:
        write_genesis("lab", 1, balances={}, bonds={}, parameters={"no_such": 1})
    assert "no_such" in caught.value.message
    assert "challenge_leaves" in caught.value.message
