"""A client's own program finds its round in a folder, and what it writes is checked."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.client.own_program import (
    VARIABLES,
    OwnProgram,
    RoundWork,
    parse_command,
    train_by_program,
    write_round,
)
from fedcoin.application.client.program_privacy import ProgramPrivacy, read_program_privacy
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.private_sgd import PrivacySettings, SampledSteps
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.learning.workers.training_pool import TrainingPool
from tests.support.paths import ROOT
from tests.support.training_site import materials

BEGIN = "import os, numpy as np; b = dict(np.load(os.environ['FEDCOIN_ROUND_BASE'])); "
END = "np.savez(os.environ['FEDCOIN_ROUND_UPDATE'], **b)"


def work() -> RoundWork:
    given = materials()
    return RoundWork(2, 3, given.model, given.weights, TrainingPlan(4, 16, 0.25, 7), 5)


def program(code: str, seconds: float = 60) -> OwnProgram:
    return OwnProgram((sys.executable, "-c", code), seconds)


def claiming(code: str) -> OwnProgram:
    return replace(program(code), claims_privacy=True)


@pytest.fixture
async def pool() -> AsyncIterator[TrainingPool]:
    pool = TrainingPool()
    yield pool
    await pool.stop()


def test_the_folder_of_a_round(tmp_path: Path) -> None:
    given = work()
    variables = write_round(tmp_path, given)
    assert list(variables) == list(VARIABLES)
    assert json.loads(Path(variables["FEDCOIN_ROUND_MODEL"]).read_text())["class_name"]
    base = decode_tensors(given.base)
    with np.load(variables["FEDCOIN_ROUND_BASE"]) as stored:
        assert set(stored) == set(base)
        assert all(np.array_equal(stored[name], base[name]) for name in base)
    settings = json.loads(Path(variables["FEDCOIN_ROUND_SETTINGS"]).read_text())
    assert settings.pop("weights") == [
        {"name": name, "shape": list(array.shape)} for name, array in base.items()
    ]
    assert settings == {
        "round": 2,
        "rounds": 3,
        "epochs": 4,
        "batch_size": 16,
        "learning_rate": 0.25,
        "seed": 12,
        "measure": "accuracy",
        "input_shape": [8, 8],
        "num_classes": 10,
    }
    assert Path(variables["FEDCOIN_ROUND_UPDATE"]) == tmp_path / "update.npz"


async def test_what_a_program_writes_is_its_update(pool: TrainingPool) -> None:
    lines: list[str] = []
    code = BEGIN + "b = {k: v + 1 for k, v in b.items()}; b['num_samples'] = 42; print('epoch 1'); "
    trained = await train_by_program(program(code + END), work(), pool, lines.append)
    assert (trained.num_samples, trained.privacy) == (42, None)
    base, update = decode_tensors(work().base), decode_tensors(trained.tensors)
    assert all(np.array_equal(update[name], base[name] + 1) for name in base)
    assert lines == ["epoch 1", "update.npz: trained on 42 examples"]


async def test_a_safetensors_file_and_no_passphrase(
    pool: TrainingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDCOIN_PASSPHRASE", "secret")
    code = (
        BEGIN + "assert 'FEDCOIN_PASSPHRASE' not in os.environ; "
        "from safetensors.numpy import save_file; "
        "save_file(b, os.environ['FEDCOIN_ROUND_FOLDER'] + '/update.safetensors')"
    )
    trained = await train_by_program(program(code), work(), pool, lambda line: None)
    assert (trained.tensors, trained.num_samples) == (work().base, 1)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('no data'); raise SystemExit(3)", ["exit code 3", "no data"]),
        ("import os; os.abort()", ["killed by signal 6"]),
        ("pass", ["must write one file update.*", "found: none"]),
        (
            BEGIN + END + "; open(os.environ['FEDCOIN_ROUND_FOLDER'] + '/update.pt', 'w')",
            ["found: update.npz, update.pt"],
        ),
        (
            "import os; open(os.environ['FEDCOIN_ROUND_UPDATE'], 'wb').truncate(10**9)",
            ["wrote 1000000000 bytes"],
        ),
    ],
)
async def test_programs_that_fail(pool: TrainingPool, code: str, words: list[str]) -> None:
    with pytest.raises(RefusalError) as caught:
        await train_by_program(program(code), work(), pool, lambda line: None)
    assert caught.value.code is ApplicationCode.PROGRAM_FAILED
    assert all(word in caught.value.message for word in ["round 2: the program", *words])


PRIVATE = '{"clip": 1, "noise_multiplier": 1.5, "sampling_rate": 0.1, "steps": 40}'
SAY = f"; open(os.environ['FEDCOIN_ROUND_PRIVACY'], 'w').write({PRIVATE!r})"


async def test_a_program_says_how_private_its_training_was(pool: TrainingPool) -> None:
    lines: list[str] = []
    code = BEGIN + END + SAY
    trained = await train_by_program(claiming(code), work(), pool, lines.append)
    assert trained.privacy == ProgramPrivacy(PrivacySettings(1, 1.5), SampledSteps(0.1, 40))
    silent = await train_by_program(program(code), work(), pool, lines.append)
    assert silent.privacy is None
    assert any("privacy.json is not used" in line for line in lines)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "wrote no privacy.json, which --claim-privacy asks for"),
        ("private", "cannot be read"),
        ("[]", "exactly clip, noise_multiplier, sampling_rate, steps"),
        (PRIVATE.replace("clip", "klip"), "exactly clip"),
        (PRIVATE.replace("0.1", "1.1"), "sampling_rate 1.1"),
        (PRIVATE.replace("40", "40.5"), "steps 40.5 to privacy.json; it must be a whole number"),
        (PRIVATE.replace("1.5", "NaN"), "noise_multiplier nan"),
    ],
)
def test_what_no_claim_can_rest_on(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "privacy.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=words):
        read_program_privacy(path)


async def test_a_program_that_says_nothing_of_privacy_fails(pool: TrainingPool) -> None:
    with pytest.raises(RefusalError, match=r"wrote no privacy\.json") as caught:
        await train_by_program(claiming(BEGIN + END), work(), pool, lambda line: None)
    assert caught.value.code is ApplicationCode.PROGRAM_FAILED


async def test_a_program_that_hangs(pool: TrainingPool) -> None:
    hanging = program("import time; print('epoch 1', flush=True); time.sleep(600)", 3)
    with pytest.raises(RefusalError) as caught:
        await train_by_program(hanging, work(), pool, lambda line: None)
    assert "was stopped after 3 s (--time-limit)" in caught.value.message
    assert "epoch 1" in caught.value.message


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("b.popitem(); ", LearningCode.WRONG_NAMES),
        ("b = {k: v[:1] for k, v in b.items()}; ", LearningCode.WRONG_SHAPE),
        ("b = {k: v * np.nan for k, v in b.items()}; ", LearningCode.NOT_FINITE),
        ("b['num_samples'] = -1; ", LearningCode.BAD_SAMPLES),
    ],
)
async def test_weights_that_do_not_fit(pool: TrainingPool, change: str, code: LearningCode) -> None:
    with pytest.raises(RefusalError) as caught:
        await train_by_program(program(BEGIN + change + END), work(), pool, lambda line: None)
    assert caught.value.code is code


async def test_garbage_is_no_update(pool: TrainingPool) -> None:
    code = "import os; open(os.environ['FEDCOIN_ROUND_UPDATE'], 'wb').write(os.urandom(9999))"
    with pytest.raises(RefusalError) as caught:
        await train_by_program(program(code), work(), pool, lambda line: None)
    assert caught.value.code is LearningCode.UNREADABLE_FILE


async def test_a_program_that_is_not_there(pool: TrainingPool) -> None:
    with pytest.raises(RefusalError, match="cannot be started: No such file"):
        await train_by_program(OwnProgram(("/no/such",)), work(), pool, lambda line: None)


def test_command_lines() -> None:
    assert parse_command("python 'my train.py' --x=$HOME") == ("python", "my train.py", "--x=$HOME")
    for text in ("", "  ", "python 'x"):
        with pytest.raises(ValueError, match="must"):
            parse_command(text)


def test_the_page_lists_the_variables() -> None:
    page = (ROOT / "docs/OPERATIONS.md").read_text()
    listed = re.findall(r"^\| `(FEDCOIN_ROUND_\w+)` \|", page, re.MULTILINE)
    assert listed == list(VARIABLES)
