"""Programs run in groups of their own, within bounds, and leave nothing behind."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from fedcoin.application.client import program_process
from fedcoin.application.client.program_process import MAX_LINE, TAIL_LINES, run_program
from tests.support.waiting import until


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def is_alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_output_is_reported_and_the_exit_code_told() -> None:
    lines: list[str] = []
    code = "import os, sys; print('epoch 1'); print(os.environ['NAME'], file=sys.stderr); exit(3)"
    end = await run_program(python(code), {"NAME": "value"}, 60, lines.append)
    assert (end.exit_code, end.timed_out) == (3, False)
    assert sorted(lines) == sorted(end.tail) == ["epoch 1", "value"]
    assert end.describe().startswith("ended with exit code 3; its last lines:\n    ")


async def test_much_output_is_bounded() -> None:
    lines: list[str] = []
    code = (
        "import sys\n"
        "for i in range(20_000): print('line', i)\n"
        "sys.stdout.write('x' * 5_000_000 + '\\n' + 'a\\rb\\x1b[31m\\n')"
    )
    end = await run_program(python(code), {}, 120, lines.append)
    assert end.exit_code == 0
    assert len(end.tail) == TAIL_LINES
    assert max(map(len, [*end.tail, *lines])) <= MAX_LINE
    assert end.tail[-3:] == ("x" * MAX_LINE, "a", "b [31m")
    assert len(lines) < 400


async def test_a_program_that_hangs_ends_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program and its child ignore the request to stop, and are killed."""
    monkeypatch.setattr(program_process, "STOP_SECONDS", 0.5)
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        f"if child: open({str(tmp_path / 'pid')!r}, 'w').write(str(child))\n"
        "time.sleep(600)"
    )
    began = time.monotonic()
    end = await run_program(python(code), {}, 3, lambda line: None)
    assert end.timed_out
    assert end.exit_code == -9
    assert time.monotonic() - began < 60
    await until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


async def test_a_program_that_leaves_a_child_with_its_output_is_not_waited_for(
    tmp_path: Path,
) -> None:
    code = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))"
    )
    end = await run_program(python(code), dict(os.environ), 60, lambda line: None)
    assert end.exit_code == 0
    await until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


async def test_a_cancelled_run_stops_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    run = asyncio.create_task(run_program(python(code), {}, 600, lambda line: None))
    await until(lambda: pid.exists() and bool(pid.read_text()))
    run.cancel()
    await asyncio.wait([run])
    assert run.cancelled()
    await until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


async def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(OSError, match="No such file"):
        await run_program(["/no/such/program"], {}, 60, lambda line: None)
