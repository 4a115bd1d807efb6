"""Files with secrets: whose modes are accepted, also as Kubernetes mounts them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fedcoin.data.crypto.key_files import save_key
from fedcoin.data.private_files import find_exposure, is_private
from tests.support.keys import ALICE

POD_USER, FS_GROUP = 10_001, 20_002
MOUNTED = (0, FS_GROUP)
"""The owner of a secret's file in a pod with that fsGroup."""


@pytest.mark.parametrize(
    ("mode", "owner", "user", "expected"),
    [
        (0o600, (POD_USER, 1), POD_USER, True),
        (0o400, (POD_USER, 1), POD_USER, True),
        (0o440, MOUNTED, POD_USER, True),
        (0o640, MOUNTED, POD_USER, True),
        (0o444, MOUNTED, POD_USER, False),  # others read it
        (0o460, MOUNTED, POD_USER, False),  # its group writes it
        (0o440, (0, 1), POD_USER, False),  # a group of others
        (0o440, (POD_USER, FS_GROUP), POD_USER, False),  # its owner can make it private
        (0o440, MOUNTED, 0, False),  # root reads it in any mode
    ],
)
def test_modes(mode: int, owner: tuple[int, int], user: int, expected: bool) -> None:
    assert is_private(mode, owner, user, {FS_GROUP, 7}) is expected


def test_an_open_file_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    for mode, said in ((0o600, ""), (0o644, "(mode 0644): chmod 600 it")):
        path.chmod(mode)
        with path.open("rb") as file:
            assert find_exposure(file.fileno()).endswith(said)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root changes users")
def test_a_pod_reads_the_key_that_is_mounted_for_its_group(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    save_key(path, ALICE)
    os.chown(path, *MOUNTED)
    path.chmod(0o440)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    program = (
        "import os, sys; from pathlib import Path;"
        "from fedcoin.data.crypto.key_files import load_key;"
        f"os.setgroups([{FS_GROUP}]); os.setgid({POD_USER}); os.setuid({POD_USER});"
        "print(load_key(Path(sys.argv[1])).public_key.hex())"
    )
    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ALICE.public_key.hex()
    path.chmod(0o444)
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "can be read or written by others" in refused.stderr
