"""Passphrases come from files that nobody else can read, or from a person at a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.cli.shared.passphrases import MAX_PASSPHRASE_BYTES
from fedcoin.application.configuration.home import Home


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("correct horse\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644])
def test_file_that_others_can_read_or_write_is_refused(
    fedcoin: Any, tmp_path: Path, secret: Path, mode: int
) -> None:
    secret.chmod(mode)
    outcome = fedcoin("keys", "new", "--home", tmp_path / "home", "--passphrase-file", secret)
    assert (outcome.code, "BAD_PASSPHRASE_FILE" in outcome.err) == (1, True)
    assert f"mode {mode:04o}" in outcome.err
    assert "chmod 600" in outcome.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe", b"x" * (MAX_PASSPHRASE_BYTES + 1)], ids=len
)
def test_file_without_a_usable_passphrase_is_refused(
    fedcoin: Any, tmp_path: Path, secret: Path, content: bytes
) -> None:
    secret.write_bytes(content)
    outcome = fedcoin("keys", "new", "--home", tmp_path / "home", "--passphrase-file", secret)
    assert (outcome.code, "BAD_PASSPHRASE_FILE" in outcome.err) == (1, True)


@pytest.mark.usefixtures("quick_passphrases")
def test_a_file_that_is_read_only_for_its_owner_is_enough(
    fedcoin: Any, tmp_path: Path, secret: Path
) -> None:
    secret.chmod(0o400)
    home = Home(tmp_path / "home")
    assert fedcoin("keys", "new", "--home", home.root, "--passphrase-file", secret).code == 0
    assert home.key_info().is_encrypted


def test_without_passphrase_and_terminal_the_key_is_plain_and_the_command_says_so(
    fedcoin: Any, tmp_path: Path
) -> None:
    home = Home(tmp_path / "home")
    outcome = fedcoin("init", "--home", home.root)
    assert (outcome.code, "not encrypted" in outcome.err) == (0, True)
    assert not home.key_info().is_encrypted


QUESTION = rb"(?:Passphrase|Repeat)[^\n]*: (?=\r|\Z)"
"""A question up to the space at its end: click 8.1.0 writes that once the echo is off."""


def run_at_terminal(*arguments: object, answer: str) -> tuple[int, str]:
    """Run a command whose standard streams are a terminal, and answer each of its questions."""
    ours, theirs = pty.openpty()
    # The question is asked at the terminal that controls the session.
    command = ["setsid", "--ctty", "--wait", sys.executable, "-m", "fedcoin.application.cli"]
    command += map(str, arguments)
    shown = b""
    answered = 0
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        try:
            # On Linux the terminal reports an error, and not an end, when its last user has left.
            with contextlib.suppress(OSError):
                while chunk := os.read(ours, 4096):
                    shown += chunk
                    # What is typed before the end of the question is discarded.
                    questions = len(re.findall(QUESTION, shown))
                    for _ in range(answered, questions):
                        os.write(ours, f"{answer}\n".encode())
                    answered = questions
        except BaseException:
            process.kill()
            raise
    os.close(ours)
    return process.returncode, shown.decode()


def test_a_person_is_asked_for_the_passphrase_of_a_new_key(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    code, shown = run_at_terminal("keys", "new", "--home", home.root, answer="correct horse")
    assert (code, "Passphrase for the new key" in shown) == (0, True), shown
    assert home.key(passphrase="correct horse").public_key == home.key_info().public_key


def test_a_person_is_asked_for_the_passphrase_of_an_encrypted_key(
    fedcoin: Any, tmp_path: Path, secret: Path
) -> None:
    home = Home(tmp_path / "home")
    fedcoin("keys", "new", "--home", home.root, "--passphrase-file", secret)
    code, shown = run_at_terminal("bond", "1fdc", "--home", home.root, answer="wrong")
    assert (code, "WRONG_PASSPHRASE" in shown) == (1, True), shown


@pytest.mark.usefixtures("quick_passphrases")
def test_no_encrypt_wins_over_a_passphrase_of_the_environment(
    fedcoin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDCOIN_PASSPHRASE", "correct horse")
    home = Home(tmp_path / "home")
    assert fedcoin("keys", "new", "--home", home.root, "--no-encrypt").code == 0
    assert fedcoin("keys", "new", "other", "--home", home.root).code == 0
    assert [home.key_info(name).is_encrypted for name in ("node", "other")] == [False, True]
