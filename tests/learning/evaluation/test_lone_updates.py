"""What one update alone answers."""

from __future__ import annotations

from pathlib import Path

from fedcoin.learning.evaluation.lone_updates import build_lone_job, read_lone_update
from fedcoin.learning.workers.jobs import measure_all, measure_lone_update
from fedcoin.v1 import task_pb2
from tests.support.small_models import evaluation, mlp_spec, random_weights, write_job


def test_the_base_and_the_update_are_measured_as_models(tmp_path: Path) -> None:
    spec = mlp_spec()
    x, y = evaluation(spec, 300)
    written = [
        write_job(tmp_path / str(seed), spec, random_weights(spec, 1), [update], x, y, [1])
        for seed, update in enumerate((random_weights(spec, 1), random_weights(spec, 2)))
    ]
    job = build_lone_job(
        written[1].model,
        written[1].base,
        written[1].updates[0],
        written[1].evaluation,
        task_pb2.UTILITY_ACCURACY,
        None,
    )
    found = read_lone_update(measure_lone_update(job))
    assert (found.base, found.alone) == (measure_all(written[0]), measure_all(written[1]))
    assert found.base != found.alone
