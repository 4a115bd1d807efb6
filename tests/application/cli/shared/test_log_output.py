from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from fedcoin.application.cli.shared.log_output import BackgroundHandler, JsonLines, TextLines

TALKATIVE = """
import asyncio, logging, sys, time
from fedcoin.application.cli.shared.log_output import configure_logging

configure_logging("info", "text")
log = logging.getLogger("fedcoin.talkative")

async def main():
    longest = 0.0
    for number in range(25):
        before = time.monotonic()
        for _ in range(1_000):
            log.info("line of %d, %s", number, "x" * 100)
        await asyncio.sleep(0)
        longest = max(longest, time.monotonic() - before)
    print(longest, flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def started() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", TALKATIVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_log_that_nobody_reads_stops_no_program() -> None:
    """25,000 lines, of which a pipe holds about 500: all turns of the loop are short."""
    with started() as program:
        assert program.stdout is not None
        assert program.stdin is not None
        assert float(program.stdout.readline()) < 5.0
        before = time.monotonic()
        program.stdin.close()
        assert program.wait(30) == 0
        assert time.monotonic() - before < 10


def test_dropped_lines_are_counted() -> None:
    with started() as program:
        assert program.stdout is not None
        program.stdout.readline()
        _, errors = program.communicate()
    lines = errors.splitlines()
    assert program.returncode == 0
    gaps = [int(line.split(": ")[1].split()[0]) for line in lines if " were dropped" in line]
    assert sum(gaps) > 0
    assert sum(gaps) + len(lines) - len(gaps) == 25_000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def record(text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("fedcoin.a.miner", logging.INFO, "", 0, text, arguments, None)


def test_flushed_lines_are_written_in_order(pipe: tuple[int, int]) -> None:
    handler = BackgroundHandler(pipe[1])
    handler.setFormatter(TextLines())
    for number in range(300):
        handler.handle(record("task %d", number))
    handler.flush()
    lines = os.read(pipe[0], 1 << 16).decode().splitlines()
    assert [line.split(": ")[1] for line in lines] == [f"task {number}" for number in range(300)]
    assert lines[0].split()[1:3] == ["INFO", "miner:"]


def test_json_lines(pipe: tuple[int, int]) -> None:
    handler = BackgroundHandler(pipe[1])
    handler.setFormatter(JsonLines())
    handler.handle(record("block %d", 7))
    handler.flush()
    line = json.loads(os.read(pipe[0], 4096))
    assert (line["level"], line["logger"], line["message"]) == (
        "info",
        "fedcoin.a.miner",
        "block 7",
    )


def test_a_reader_that_is_gone_ends_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    handler = BackgroundHandler(write)
    handler.setFormatter(TextLines())
    handler.handle(record("to nobody"))
    handler.flush()
    handler.handle(record("to nobody again"))
    handler.flush()
    os.close(write)
