from __future__ import annotations

from importlib.util import find_spec

import pytest

from fedcoin.application.config import MiningConfig
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.executor import executor_of
from fedcoin.data.errors import Refusal
from fedcoin.learning.executors import cores


def test_a_miner_takes_every_core_unless_told_otherwise() -> None:
    assert executor_of(MiningConfig(enabled=True)).places == cores()
    assert executor_of(MiningConfig(enabled=True, processes=3)).places == 3


def test_who_only_looks_on_takes_one() -> None:
    assert executor_of(MiningConfig(executor="ray", processes=3)).places == 1


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_ray_that_is_not_installed_is_refused() -> None:
    with pytest.raises(Refusal, match=r"mining.executor is 'ray', .*fedcoin\[ray\]") as caught:
        executor_of(MiningConfig(enabled=True, executor="ray"))
    assert caught.value.code is ApplicationCode.BAD_CONFIG
