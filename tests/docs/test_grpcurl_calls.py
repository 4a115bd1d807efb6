"""Every grpcurl call on a page names an RPC that exists, and fields of its request."""

from __future__ import annotations

import json
import re

from tests.support.documents import find_code_blocks, read, read_pages
from tests.support.wire_descriptors import (
    message_descriptors,
    method_descriptors,
    service_descriptors,
)


def check_grpcurl(line: str) -> None:
    """Fail unless this grpcurl line's RPC, fields or described name exist."""
    if described := re.search(r" describe fedcoin\.v1\.(\w+)$", line):
        assert described[1] in {**service_descriptors(), **message_descriptors()}, line
    if call := re.search(r" fedcoin\.v1\.(\w+/\w+)$", line):
        method = method_descriptors().get(call[1])
        assert method is not None, line
        data = re.search(r" -d '(\{.*\})' ", line)
        request = json.loads(re.sub(r"'\$\w+'", "value", data[1])) if data else {}
        assert set(request) <= set(method.input_type.fields_by_name), line


def test_grpcurl_calls_exist() -> None:
    for text in read_pages().values():
        for block in find_code_blocks(text, "sh"):
            for line in block.splitlines():
                if line.startswith("grpcurl"):
                    check_grpcurl(line)


def test_readme_calls_grpcurl() -> None:
    assert len(re.findall(r"^grpcurl .*fedcoin\.v1\.\w+/\w+$", read("README.md"), re.M)) >= 3
