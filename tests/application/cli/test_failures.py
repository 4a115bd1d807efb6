from __future__ import annotations

import sqlite3

from grpc import StatusCode

from fedcoin.application.cli.failures import explain
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.network.client.rpc_error import RpcError


def test_explanations() -> None:
    refusal = RefusalError(ApplicationCode.NO_KEY, "no key")
    assert explain(refusal).code == "NO_KEY"
    assert explain(WorkerError("worker 7 died")).code == "WORKER_FAILED"
    assert explain(sqlite3.OperationalError("disk is full")).code == "STORE_FAILED"
    bug = explain(ValueError("oops"))
    assert (bug.code, bug.unexpected) == ("INTERNAL", True)
    lost = explain(RpcError(StatusCode.UNAVAILABLE, "UNAVAILABLE", "is away", target="a:1"))
    assert (lost.sentence, lost.code) == ("a:1: is away", "UNAVAILABLE")
    assert not lost.unexpected
    missing = explain(FileNotFoundError(2, "No such file or directory", "x.npz"))
    assert missing.sentence == "x.npz: No such file or directory"
    assert missing.code == "OS_ERROR"
    assert not missing.unexpected
