"""Tools of the gRPC world against a live node, with the flags that docs/API.md names."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.served_api import ServedApi, serve_api

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BUF = str(Path(sys.executable).with_name("buf"))
MODULES = {
    "ghz": "github.com/bojand/ghz/cmd/ghz@v0.120.0",
    "grpc-health-probe": "github.com/grpc-ecosystem/grpc-health-probe@v0.4.62",
    "grpcurl": "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4",
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with serve_api(tmp_path / "node") as live:
        live.chain.produce()
        yield live


def find(name: str, programs: Path) -> str:
    """Find a tool on PATH, or build it with Go; skips where neither is possible."""
    if found := shutil.which(name):
        return found
    if (go := shutil.which("go")) is None:
        pytest.skip(f"needs {name}, or Go to build it")
    built = subprocess.run(
        [go, "install", MODULES[name]],
        env={"GOBIN": str(programs), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        pytest.skip(f"Go cannot build {name}: {built.stderr[-300:]}")
    return str(programs / name)


async def run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_grpcurl_describes_a_single_method(live: ServedApi, programs: Path) -> None:
    grpcurl = await asyncio.to_thread(find, "grpcurl", programs)
    code, said = await run(
        grpcurl, "-plaintext", live.server.address, "describe", "fedcoin.v1.NodeService.GetStatus"
    )
    assert code == 0, said
    assert said.startswith("fedcoin.v1.NodeService.GetStatus is a method:")


async def test_buf_curl_reflects_over_grpc_only_when_it_is_told_to(live: ServedApi) -> None:
    url = f"http://{live.server.address}/fedcoin.v1.NodeService/GetStatus"
    code, said = await run(BUF, "curl", "--http2-prior-knowledge", url)
    assert (code, "failed to find service" in said) == (1, True)
    code, said = await run(BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", url)
    assert code == 0, said
    assert json.loads(said)["height"] == "1"


async def test_buf_curl_shows_the_details_of_an_error(live: ServedApi) -> None:
    url = f"http://{live.server.address}/fedcoin.v1.ShapleyTaskService/GetTask"
    flags = ("--protocol", "grpc", "--http2-prior-knowledge", "--data", '{"task_id": "zz"}')
    code, said = await run(BUF, "curl", *flags, url)
    assert code == 8 * 3  # eight times INVALID_ARGUMENT
    assert [each["type"] for each in json.loads(said)["details"]] == [
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
    ]


async def test_the_health_probe(live: ServedApi, programs: Path) -> None:
    probe = await asyncio.to_thread(find, "grpc-health-probe", programs)
    for service in ("", "fedcoin.v1.NodeService"):
        code, said = await run(probe, f"-addr={live.server.address}", f"-service={service}")
        assert code == 0, said
        assert "SERVING" in said
    code, _ = await run(probe, f"-addr={live.server.address}", "-service=fedcoin.v1.Nothing")
    assert code == 3  # the node answers that it has no such service
    code, _ = await run(probe, "-addr=127.0.0.1:1", "-connect-timeout=1s")
    assert code == 2  # nothing listens


async def test_ghz(live: ServedApi, programs: Path) -> None:
    ghz = await asyncio.to_thread(find, "ghz", programs)
    code, said = await run(
        ghz,
        *("--insecure", "--call", "fedcoin.v1.NodeService.GetStatus"),
        *("--total", "200", "--concurrency", "4", "--format", "json"),
        live.server.address,
    )
    assert code == 0, said
    measured = json.loads(said)
    assert measured["statusCodeDistribution"] == {"OK": 200}
