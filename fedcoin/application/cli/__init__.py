"""The command line, `fedcoin-node`.

This folder decides how commands are named and what they print. It holds no rules: each command
reads its options, calls another folder of `application`, and shows the result. Results go to
standard output; progress, warnings and error sentences go to standard error. Exit codes: 0 done,
1 failed, 2 wrong usage, 3 a running node could not go on.

* `entry`: run a command and report its failure; `failures`: from exceptions to error sentences;
  `missing_parameters`: all that a command line lacks, in one error
* `root_command`: the table of all commands, in the sections of the help. A command's module is
  imported when the command is called, so that `--help` and the reading commands stay fast.
* `nodes`, `queries`, `payments`, `training`: the commands of the sections Run, Look, Pay and Train.
  A module has the name of its command, or a longer one where another module of the package has it.
* `shared`: options, output and what else several commands need
"""

from __future__ import annotations

from fedcoin.application.cli.entry import main

__all__ = ["main"]
