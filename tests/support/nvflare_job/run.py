"""Run the job in NVFlare's simulator; arguments: its workspace, and the folder of the rounds."""

from __future__ import annotations

import sys
from pathlib import Path

from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.job_config.api import FedJob
from nvflare.job_config.script_runner import ScriptRunner

from tests.support.nvflare_job.parts import AccuracyAggregator, ArrayPersistor

CLIENTS, ROUNDS = 3, 2

if __name__ == "__main__":
    workspace, folder = sys.argv[1:]
    job = FedJob(name="valued", min_clients=CLIENTS)
    aggregator = AccuracyAggregator(folder=folder)
    job.to_server(FedAvg(num_clients=CLIENTS, num_rounds=ROUNDS, aggregator=aggregator))
    job.to_server(ArrayPersistor(), id="persistor")
    for number in range(1, CLIENTS + 1):
        script = ScriptRunner(script=str(Path(__file__).with_name("client.py")), framework="numpy")
        job.to(script, f"site-{number}")
    job.simulator_run(workspace, threads=CLIENTS)
