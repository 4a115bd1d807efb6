"""A client of the job: the higher its number, the less it knows of the rule."""

from __future__ import annotations

import numpy as np
import nvflare.client as flare

from tests.support.nvflare_job.parts import rule

if __name__ == "__main__":
    flare.init()
    number = int(flare.get_site_name().rpartition("-")[2])
    kernel, _, _ = rule()
    while flare.is_running():
        model = flare.receive()
        noise = np.random.default_rng(number).normal(size=kernel.shape)
        learnt = kernel + np.float32(3 * (number - 1)) * noise.astype(np.float32)
        params = dict(model.params)
        params["kernel"] = params["kernel"] + np.float32(0.5) * (learnt - params["kernel"])
        flare.send(flare.FLModel(params=params, meta={"NUM_STEPS_CURRENT_ROUND": 100 + number}))
