"""The file of the API's tokens, and how a running node follows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.api.api_tokens import LOOK_MS, TokenFile, make_token, read_tokens, write_tokens
from fedcoin.network.api.permissions import ApiRole
from fedcoin.network.errors import NetworkCode


class Clock:
    ms = 0

    def __call__(self) -> int:
        self.ms += LOOK_MS
        return self.ms


def test_the_file_holds_no_token(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    assert read_tokens(path) is None
    text, entry = make_token("wallet", ApiRole.SUBMIT, 7)
    write_tokens(path, [entry])
    assert read_tokens(path) == (entry,)
    assert text not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert make_token("wallet", ApiRole.SUBMIT, 7)[0] != text
    assert len(text) > 40


def test_a_running_node_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    tokens = TokenFile(path, Clock())
    assert not tokens.is_required
    (first, one), (second, two) = (
        make_token("a", ApiRole.READ, 0),
        make_token("b", ApiRole.ADMIN, 0),
    )
    write_tokens(path, [one, two])
    assert (tokens.find(first), tokens.find(second)) == (one, two)
    write_tokens(path, [two])
    assert (tokens.find(first), tokens.find(second)) == (None, two)
    assert tokens.find("") is None


@pytest.mark.parametrize("content", [None, "{", "[]", '{"tokens": [{"name": "a"}]}'])
def test_a_file_that_is_gone_or_damaged_opens_nothing(
    content: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "tokens.json"
    text, entry = make_token("a", ApiRole.READ, 0)
    write_tokens(path, [entry])
    tokens = TokenFile(path, Clock())
    path.unlink()
    if content is not None:
        path.write_text(content)
        with pytest.raises(RefusalError) as caught:
            read_tokens(path)
        assert caught.value.code is NetworkCode.BAD_TOKEN_FILE
    assert tokens.find(text) == entry
    assert tokens.find("other") is None
    assert "stay as they were" in caplog.text


@pytest.mark.parametrize(
    ("field", "value"),
    [("role", "root"), ("sha256", "ab"), ("name", "A B"), ("created_ms", None), ("more", 1)],
)
def test_entries_are_checked(field: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    write_tokens(path, [make_token("a", ApiRole.READ, 0)[1]])
    content = json.loads(path.read_text())
    content["tokens"][0][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(RefusalError):
        read_tokens(path)
