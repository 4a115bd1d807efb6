"""Shell completion: the scripts, and what the program answers to them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fedcoin.application.cli.entry import run
from fedcoin.application.cli.queries.completion import VARIABLE
from tests.application.cli.conftest import CommandLine


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(shell: str, fedcoin: CommandLine, tmp_path: Path) -> None:
    printed = fedcoin("completion", shell)
    assert printed.code == 0, printed.err
    assert f"{VARIABLE}={shell}_complete" in printed.out
    program = shutil.which(shell)
    if program is not None:
        script = tmp_path / "script"
        script.write_text(printed.out)
        checked = subprocess.run([program, "-n", script], capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("words", "index", "expected"),
    [
        ("fedcoin-node sta", "1", {"start", "status"}),
        ("fedcoin-node task wa", "2", {"watch"}),
        ("fedcoin-node status --wat", "2", {"--watch"}),
    ],
)
def test_commands_and_options_are_completed(
    words: str,
    index: str,
    expected: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(VARIABLE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", index)
    with pytest.raises(SystemExit):
        run([])
    answers = capsys.readouterr().out.split()
    assert {answer.partition(",")[2] for answer in answers} == expected
