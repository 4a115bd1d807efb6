"""The file of an account of several keys: its threshold, its public keys and its address, as JSON.

Nothing in it is secret. Each of the account's people keeps a copy, since an address alone does not
tell its keys.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_policies import KeyPolicy, make_policy
from fedcoin.data.errors import RefusalError

_FORMAT: Final = "fedcoin/key-policy/v1"
MAX_FILE_BYTES: Final = 8 << 20
"""The largest file that is read, in bytes; a transaction has less, in hex and in words."""


def render_policy(policy: KeyPolicy) -> str:
    """Write a policy as the content of its file.

    Args:
        policy: The account's policy.

    Returns:
        JSON, with keys in hex and the address in bech32m.
    """
    content = {
        "format": _FORMAT,
        "address": format_address(policy.address),
        "threshold": policy.threshold,
        "public_keys": [key.hex() for key in policy.public_keys],
    }
    return json.dumps(content, indent=1) + "\n"


def read_policy(path: Path) -> KeyPolicy:
    """Read the file of an account of several keys.

    Args:
        path: The file.

    Returns:
        Its policy.

    Raises:
        RefusalError: NO_FILE when it cannot be read; BAD_POLICY_FILE when it is no such file, or
            its address is not that of its keys.
    """
    text = read_small_file(path)
    try:
        content = json.loads(text)
        keys = [bytes.fromhex(key) for key in content["public_keys"]]
        policy = make_policy(content["threshold"], keys)
        is_whole = content == json.loads(render_policy(policy))
    except (ValueError, KeyError, TypeError, RecursionError, RefusalError) as error:
        raise _bad_file(path, str(error)) from None
    if not is_whole:
        raise _bad_file(path, "its address, format or a further field does not fit its keys")
    return policy


def read_small_file(path: Path) -> str:
    """Read a text file that another person sent.

    Args:
        path: The file.

    Returns:
        Its text.

    Raises:
        RefusalError: NO_FILE when it is missing, too large, or not text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise ValueError(f"it has more than {MAX_FILE_BYTES} bytes")
        return raw.decode()
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {str(error)[:200]}"
        raise RefusalError(ApplicationCode.NO_FILE, message, field="file") from None


def _bad_file(path: Path, problem: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_POLICY_FILE,
        f"{path} is not the file of an account of several keys ({problem[:200]}): write it with"
        " `fedcoin-node keys policy create`",
        field="policy",
    )
