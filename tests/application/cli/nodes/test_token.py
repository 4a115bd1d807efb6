"""`fedcoin-node token`, and commands that send one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.configuration.private_folders import lock_folder
from tests.application.cli.conftest import CommandLine
from tests.support.served_api import serve_api


@pytest.fixture
def home(tmp_path: Path, fedcoin: CommandLine) -> Path:
    assert fedcoin("init", "--home", tmp_path / "a").code == 0
    return tmp_path / "a"


def test_tokens_are_made_listed_and_revoked(home: Path, fedcoin: CommandLine) -> None:
    create = ("token", "create", "--home", home)
    assert "everybody" in fedcoin("token", "list", "--home", home).err
    made = fedcoin(*create, "explorer", "--role", "read")
    assert made.out.startswith("fct_")
    assert "first token" in made.err
    assert "api.token_file in config.toml" in made.err
    out = home / "wallet.token"
    assert fedcoin(*create, "wallet", "--role", "submit", "--out", out).code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    again = fedcoin(*create, "another", "--role", "read", "--out", out)
    assert (again.code, "exists: name a file that does not" in again.err) == (1, True)
    listed = fedcoin("token", "list", "--home", home, "--json").json
    assert [(each["name"], each["role"]) for each in listed] == [
        ("explorer", "read"),
        ("wallet", "submit"),
    ]
    assert fedcoin(*create, "wallet", "--role", "read").code == 2  # the name is taken
    assert fedcoin(*create, "No Name", "--role", "read").code == 2
    revoke = ("token", "revoke", "--home", home)
    assert fedcoin(*revoke, "nobody").code == 2
    assert fedcoin(*revoke, "wallet").code == 0
    assert "refuses everybody" in fedcoin(*revoke, "explorer").err


async def test_commands_send_the_token_of_a_file(
    home: Path, fedcoin: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = home / "reader.token"
    create = ("token", "create", "reader", "--role", "read", "--out", out, "--home", home)
    assert fedcoin(*create).code == 0
    async with serve_api(home / "api", tokens=home / "api_tokens.json") as served:
        status = ("status", "--node", served.server.address)
        refused = await asyncio.to_thread(fedcoin, *status)
        assert (refused.code, "[NO_TOKEN]" in refused.err) == (1, True)
        with lock_folder(home):
            monkeypatch.setenv("FEDCOIN_API_LISTEN", served.server.address)
            asked = ("doctor", "--home", home, "--skip-worker", "--json")
            looked = await asyncio.to_thread(fedcoin, *asked)
            found = {each["subject"]: each for each in looked.json}
            assert found["node"]["level"] == "unknown"
            assert "--token-file" in found["node"]["advice"]
            monkeypatch.delenv("FEDCOIN_API_LISTEN")
        assert (await asyncio.to_thread(fedcoin, *status, "--token-file", out)).code == 0
        monkeypatch.setenv("FEDCOIN_TOKEN_FILE", str(out))
        assert (await asyncio.to_thread(fedcoin, *status)).code == 0
        monkeypatch.delenv("FEDCOIN_TOKEN_FILE")
        monkeypatch.setenv("FEDCOIN_API_TOKEN_FILE", str(out))  # the setting api.token_file
        assert (await asyncio.to_thread(fedcoin, *status)).code == 0
        out.chmod(0o644)
        refused = await asyncio.to_thread(fedcoin, *status)
        assert (refused.code, "chmod 600" in refused.err) == (1, True)
        out.chmod(0o600)
        out.write_text("two\nlines\n")
        refused = await asyncio.to_thread(fedcoin, *status)
        assert (refused.code, "[BAD_TOKEN_FILE]" in refused.err) == (1, True)
