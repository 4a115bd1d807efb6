"""When a node warns that a certificate expires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fedcoin.application.certificates.authority import (
    Lifetime,
    encode_certificate,
    make_authority,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.node.watching.certificate_watch import (
    DAY_MS,
    CertificateWatch,
    open_certificate_watch,
)
from fedcoin.data.errors import RefusalError
from fedcoin.network.peer_options import Tls

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
START_MS = round(NOW.timestamp() * 1000)


@dataclass
class Clock:
    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms


def write(path: Path, days: int) -> Path:
    lifetime = Lifetime(NOW - timedelta(days=1), days + 1)
    path.write_bytes(encode_certificate(make_authority(path.stem, lifetime).certificate))
    return path


def test_it_warns_daily_from_30_days_and_hourly_from_3(tmp_path: Path) -> None:
    clock = Clock()
    long, short = write(tmp_path / "long.pem", 300), write(tmp_path / "short.pem", 31)
    watch = CertificateWatch((long, short), clock)
    assert watch.look() is None
    assert watch.expiry_ms == START_MS + 31 * DAY_MS
    clock.now_ms += DAY_MS
    assert watch.look() == (
        f"the certificate {short} expires in 30.0 days: renew it with `fedcoin-node tls renew`"
    )
    clock.now_ms += DAY_MS - 1
    assert watch.look() is None
    clock.now_ms = START_MS + 28 * DAY_MS + DAY_MS // 2
    for hours in range(3):
        clock.now_ms += 3_600_000
        assert "expires in 2." in (watch.look() or ""), hours
    clock.now_ms = START_MS + 31 * DAY_MS
    assert "has expired" in (watch.look() or "")


def test_a_renewed_certificate_ends_the_warnings(tmp_path: Path) -> None:
    file = write(tmp_path / "a.pem", 2)
    watch = CertificateWatch((file,), Clock())
    assert watch.look() is not None
    write(file, 300)
    assert watch.look() is None
    assert watch.expiry_ms == START_MS + 300 * DAY_MS
    file.unlink()
    assert "cannot be read" in (watch.look() or "")


def test_a_node_does_not_start_with_an_expired_certificate(tmp_path: Path) -> None:
    assert open_certificate_watch(None, Clock()) is None
    good, bad = write(tmp_path / "good.pem", 10), write(tmp_path / "bad.pem", -0)
    assert open_certificate_watch(Tls(good, good, good), Clock()) is not None
    for files in (Tls(bad, bad, good), Tls(good, bad, bad)):
        with pytest.raises(RefusalError, match=r"bad\.pem of bad expired") as caught:
            open_certificate_watch(files, Clock())
        assert caught.value.code is ApplicationCode.CERTIFICATE_EXPIRED
