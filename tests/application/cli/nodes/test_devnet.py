"""`fedcoin-node devnet`: which folders it takes."""

from __future__ import annotations

from pathlib import Path

from fedcoin.application.cli.nodes.devnet import MARK
from tests.application.cli.conftest import CommandLine


def test_it_takes_no_folder_that_holds_files(tmp_path: Path, fedcoin: CommandLine) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for arguments in ((), ("--force",)):
        refused = fedcoin("devnet", "--keep", tmp_path, *arguments)
        assert (refused.code, "no devnet made this folder" in refused.err) == (1, True), refused.err
        assert "--force" not in refused.err
    (tmp_path / MARK).write_text("")
    refused = fedcoin("devnet", "--keep", tmp_path)
    assert (refused.code, "--force to empty" in refused.err) == (1, True), refused.err
    assert (tmp_path / "notes.txt").read_text() == "mine"
