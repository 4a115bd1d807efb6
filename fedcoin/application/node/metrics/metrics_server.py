"""The HTTP endpoint at which Prometheus fetches a node's metrics.

Requests are answered by threads (`scrape_server`). Each asks the event loop for the values, so that
all are read between two steps of the node, and formats them beside it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from fedcoin.application.node.metrics.declarations import (
    RESPONDING,
    Labelled,
    Metric,
    ObservedNode,
    read_metrics,
)
from fedcoin.application.node.metrics.scrape_server import ScrapeServer
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import Tls
from fedcoin.network.peers.connections.endpoints import Endpoint

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

READ_SECONDS: Final = 5.0
"""How long a scrape waits for the event loop, in seconds; then the node counts as busy."""


class MetricsServer:
    """Serves a node's metrics. `start` it on the node's event loop, and `stop` it.

    Args:
        node: The parts of the node that metrics read.
        endpoint: Where to listen; port 0 for any free one.
        tls: The TLS files; with them callers must show a certificate of the authority. None for
            plain HTTP.
    """

    def __init__(self, node: ObservedNode, endpoint: Endpoint, tls: Tls | None) -> None:
        self.node = node
        """The node that is measured."""
        self._endpoint = endpoint
        self._tls = tls
        self._server: ScrapeServer | None = None
        self.address = str(endpoint)
        """`host:port` of the endpoint, with the real port once it has started."""

    def start(self) -> None:
        """Bind and begin to answer `GET /metrics`.

        Raises:
            RefusalError: PORT_IN_USE when the address cannot be bound.
        """
        # Imported here: a node without metrics does not need it.
        from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_NodeCollector(self.node, asyncio.get_running_loop()))
        host, port = self._endpoint.host, self._endpoint.port
        try:
            self._server = ScrapeServer(host, port, make_wsgi_app(registry), self._tls)
        except OSError as error:
            raise RefusalError(
                NetworkCode.PORT_IN_USE,
                f"cannot listen on {self._endpoint} ({error.strerror or error}): stop the program "
                "that uses it, or set metrics.listen to another address",
                field="metrics.listen",
                limit=str(self._endpoint),
            ) from error
        threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()
        self.address = f"{host}:{self._server.server_port}"

    def stop(self) -> None:
        """Close the endpoint. Does nothing when it was not started."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _NodeCollector:
    """Reads a node's metrics for prometheus-client, from any thread."""

    def __init__(self, node: ObservedNode, loop: asyncio.AbstractEventLoop) -> None:
        self._node = node
        self._loop = loop

    def describe(self) -> list[Family]:
        # Without it the registry would read the metrics once when this is registered.
        return []

    def collect(self) -> Iterator[Family]:
        reading = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        try:
            found = reading.result(READ_SECONDS)
        except concurrent.futures.TimeoutError:
            reading.cancel()
            found = [(RESPONDING, {"": 0})]
        for metric, values in found:
            yield _make_family(metric, values)

    async def _read(self) -> list[tuple[Metric, Labelled]]:
        return list(read_metrics(self._node))


def _make_family(metric: Metric, values: Labelled) -> Family:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    kinds = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
    labels = [metric.label] if metric.label else []
    family: Any = kinds[metric.kind](metric.name, metric.help, labels=labels)
    for label, value in values.items():
        family.add_metric([label] if metric.label else [], float(value))
    result: Family = family
    return result
