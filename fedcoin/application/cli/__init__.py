"""The command line, `fedcoin-node`.

This folder decides how commands are named and what they print. It holds no rules: each command
reads its options, calls another folder of `application`, and shows the result. Results go to
standard output; progress, warnings and error sentences go to standard error. Exit codes: 0 done,
1 failed, 2 wrong usage.

Each group of commands is a module, which is imported when one of its commands is called, so that
`--help` and the reading commands stay fast.

* `entry`: the root command; `failures`: from exceptions to error sentences
* `options`, `output`, `progress`, `connect`, `service`: shared by the commands
* `init`, `start`, `devnet`, `query`, `verify`, `snapshot`, `pay`, `keys`, `train`, `train_server`,
  `train_client`, `train_simulate`, `task`, `shapley`, `version`: the commands
"""

from __future__ import annotations

from fedcoin.application.cli.entry import main

__all__ = ["main"]
