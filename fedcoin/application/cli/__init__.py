"""The command line, ``fedcoin-node``.

It decides nothing: it reads what a person asked for, calls the part that does it, and shows what
came of it. One module a group of commands, imported when one of them is called, so that ``--help``
and the reading commands are quick. Results go to standard output; progress, warnings and the one
sentence that explains a failure go to standard error.

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

from fedcoin.application.cli.entry import main

__all__ = ["main"]
