"""A task as people read it."""

from __future__ import annotations

import os

import pytest
from rich.console import Console

from fedcoin.application.cli.training.task.task_display import render_miners
from fedcoin.application.cli.training.task.task_output import (
    describe_progress,
    print_task,
    refuse_unless_settled,
    time_left,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.v1.block_pb2 import (
    TASK_PHASE_COMMIT,
    TASK_PHASE_FAILED,
    TASK_PHASE_GAVE_WAY,
    TASK_PHASE_SETTLED,
    TaskPhase,
)
from fedcoin.v1.task_pb2 import (
    AVERAGING_EQUAL,
    AVERAGING_FIXED_DENOMINATOR,
    UTILITY_ACCURACY,
    PrivacyClaim,
)
from fedcoin.v1.views_pb2 import TaskClientView, TaskMinerView, TaskView


def printed(capsys: pytest.CaptureFixture[str], *groups: int) -> list[str]:
    clients = [TaskClientView(address=f"fc1{i}", group=group) for i, group in enumerate(groups)]
    print_task(TaskView(clients=clients, utility=UTILITY_ACCURACY))
    return capsys.readouterr().out.splitlines()


def test_members_of_a_group_name_its_first_client(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, 0, 1, 0)
    head, first, second, third = lines[-4:]
    assert head.endswith("ONE PLAYER WITH")
    assert first.endswith(" -")
    assert second.endswith(" -")
    assert third.startswith("fc12")
    assert third.endswith(" fc10")


def test_names_are_shown_as_claims(capsys: pytest.CaptureFixture[str]) -> None:
    clients = [TaskClientView(address="fc1a", name="Anna\x1b[31m"), TaskClientView(address="fc1b")]
    for index, client in enumerate(clients):
        client.group = index
    print_task(TaskView(clients=clients, utility=UTILITY_ACCURACY))
    head, named, nameless = capsys.readouterr().out.splitlines()[-3:]
    assert head.endswith("CLAIMED NAME")
    assert named.endswith("Anna\\x1b[31m")
    assert nameless.endswith(" -")


def test_privacy_is_shown_as_a_claim(capsys: pytest.CaptureFixture[str]) -> None:
    privacy = PrivacyClaim(
        epsilon_milli=3210, delta_pico=10**7, clip_micro=10**6, noise_micro=1_100_000
    )
    clients = [TaskClientView(address="fc1a", privacy=privacy), TaskClientView(address="fc1b")]
    clients[1].group = 1
    print_task(TaskView(clients=clients, utility=UTILITY_ACCURACY))
    head, private, other = capsys.readouterr().out.splitlines()[-3:]
    assert head.endswith("CLAIMED PRIVACY")
    assert private.endswith("epsilon 3.210, delta 1e-05, clip 1, noise 1.1")
    assert other.endswith(" -")


def test_the_averaging_is_named_as_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    for averaging, name in ((AVERAGING_FIXED_DENOMINATOR, "fixed"), (AVERAGING_EQUAL, "equal")):
        print_task(TaskView(utility=UTILITY_ACCURACY, averaging=averaging))
        (line,) = [s for s in capsys.readouterr().out.splitlines() if s.startswith("averaging")]
        assert line.split() == ["averaging", name]


def test_without_groups_there_is_no_such_column(capsys: pytest.CaptureFixture[str]) -> None:
    printed_lines = printed(capsys, 0, 1, 2)
    assert not any("ONE PLAYER" in line or "CLAIMED" in line for line in printed_lines)


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (TASK_PHASE_FAILED, ApplicationCode.TASK_FAILED),
        (TASK_PHASE_GAVE_WAY, ApplicationCode.TASK_GAVE_WAY),
    ],
)
def test_a_task_without_payments_is_an_error(
    phase: TaskPhase.ValueType, code: ApplicationCode
) -> None:
    refuse_unless_settled(TaskView(phase=TASK_PHASE_SETTLED))
    with pytest.raises(RefusalError) as caught:
        refuse_unless_settled(TaskView(phase=phase))
    assert caught.value.code is code


def test_the_time_left_is_said_while_a_window_is_open() -> None:
    miners = [TaskMinerView(committed=True, samples=50), TaskMinerView()]
    view = TaskView(round=2, phase=TASK_PHASE_COMMIT, miners=miners, deadline_ms=12_000)
    assert describe_progress(view, 5_000) == (
        "round 2: commit, 1 miner committed, 0 revealed, 7 s left"
    )
    view.attempt = 2  # Counted from 0, as JSON has it.
    assert describe_progress(view, 5_000).startswith("round 2, mined again 2 times: commit, ")
    assert time_left(view, 13_000) == ""
    view.closed_height = 9
    assert time_left(view, 5_000) == ""


def test_miners_are_shown_while_they_work() -> None:
    miners = [TaskMinerView(address="fc1a", committed=True, samples=50, power=3)]
    miners.append(TaskMinerView(address="fc1b", power=1))
    view = TaskView(miners=miners, total_power=4, declined=["fc1c"], deadline_ms=12_000)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(width=120, record=True, file=nowhere)
        console.print(render_miners(view, 5_000))
    rows = [line.split() for line in console.export_text().splitlines() if "fc1" in line]
    assert rows == [
        ["fc1a", "75.0%", "50", "-", "committed"],
        ["fc1b", "25.0%", "-", "-", "computing"],
        ["fc1c", "cannot", "take", "part"],
    ]


def test_the_average_that_a_later_campaign_may_start_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_task(TaskView(utility=UTILITY_ACCURACY, aggregate="ab" * 32))
    lines = capsys.readouterr().out.splitlines()
    assert ["average", "ab" * 32] in [line.split() for line in lines]
