"""Pin the base image of the Dockerfile by digest, in a lock beside it.

The registry is asked for the digest of the tag that the Dockerfile names. A tag can be moved to
another image later, a digest cannot: it is the SHA-256 hash of the image's index of platforms.
The request follows the OCI Distribution Specification, with the anonymous token of its registry.
`make docker` builds on the image of the lock; without a lock, and in a build without make, the
Dockerfile's tag counts.

Usage: python -m scripts.tools.lock_image [DOCKERFILE]
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from scripts.tools.lock import ROOT

BASE_IMAGE = re.compile(
    r"^ARG PYTHON_IMAGE=(?P<host>[^/\s]+)/(?P<name>[^:@\s]+):(?P<tag>[^@\s]+)$",
    re.MULTILINE,
)
"""The line of the Dockerfile that names the base image."""

LOCK = "image.lock"
"""The name of the lock: a file with one line, `HOST/NAME:TAG@sha256:DIGEST`."""

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""Media types of an index of platforms."""

MAX_INDEX_BYTES = 1 << 20
"""The longest reply of a registry, in bytes."""

TIMEOUT_SECONDS = 60
"""How long a request may take, in seconds."""


def fetch_digest(registry: str, name: str, tag: str) -> str:
    """Ask a registry for the digest of an image.

    Args:
        registry: The registry's URL, without a path.
        name: The image's name, such as `library/python`.
        tag: The image's tag.

    Returns:
        `sha256:` and 64 hex digits, computed from the index that the registry sent.

    Raises:
        OSError: The registry cannot be reached or refuses the request.
        ValueError: Its answer is too large, or is not an index of platforms.
    """
    url = f"{registry}/v2/{name}/manifests/{tag}"
    headers = {"Accept": ", ".join(INDEX_TYPES)}
    try:
        content, media_type = _get(url, headers)
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        token = _fetch_token(error.headers.get("WWW-Authenticate", ""))
        content, media_type = _get(url, {**headers, "Authorization": f"Bearer {token}"})
    if media_type not in INDEX_TYPES:
        raise ValueError(f"{url} is {media_type}, and not an index of platforms")
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _fetch_token(challenge: str) -> str:
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if "realm" not in fields:
        raise ValueError(f"the registry asks for credentials of an unknown kind: {challenge!r}")
    realm = fields.pop("realm")
    content, _ = _get(f"{realm}?{urllib.parse.urlencode(fields)}", {})
    return str(json.loads(content)["token"])


def _get(url: str, headers: dict[str, str]) -> tuple[bytes, str]:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as reply:
        content = reply.read(MAX_INDEX_BYTES + 1)
        media_type = reply.headers.get_content_type()
    if len(content) > MAX_INDEX_BYTES:
        raise ValueError(f"{url} is larger than {MAX_INDEX_BYTES} bytes")
    return content, media_type


def pin_image(dockerfile: str, registry: str | None = None) -> str:
    """Find the digest of the base image of a Dockerfile.

    Args:
        dockerfile: The text of a Dockerfile with a line `ARG PYTHON_IMAGE=HOST/NAME:TAG`.
        registry: The registry's URL; None means the one of the image's host.

    Returns:
        The image as `HOST/NAME:TAG@sha256:DIGEST`.

    Raises:
        OSError: The registry cannot be reached or refuses the request.
        ValueError: There is no such line, or the registry's answer cannot be used.
    """
    match = BASE_IMAGE.search(dockerfile)
    if match is None:
        raise ValueError("the Dockerfile has no line ARG PYTHON_IMAGE=HOST/NAME:TAG")
    host, name, tag = match["host"], match["name"], match["tag"]
    # The registry of docker.io has another host than its images' names.
    url = registry or f"https://{'registry-1.docker.io' if host == 'docker.io' else host}"
    return f"{host}/{name}:{tag}@{fetch_digest(url, name, tag)}"


def main() -> None:
    """Write the lock beside the Dockerfile that the command line names.

    Raises:
        SystemExit: The digest cannot be had; a lock that is there is left as it was.
    """
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "Dockerfile"
    try:
        image = pin_image(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SystemExit(f"the base image is not pinned: {error}") from None
    (path.parent / LOCK).write_text(f"{image}\n", encoding="utf-8")
    print(image)


if __name__ == "__main__":
    main()
