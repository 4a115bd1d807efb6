"""Channels to servers: their options, retries of idempotent calls, and when a proxy is used.

**Retries.** gRPC itself tries a call again when it ends with UNAVAILABLE, after a growing pause
with jitter and within the call's deadline (gRFC A6, "client retry design"). Only RPCs that the
`.proto` files mark as idempotent (`option idempotency_level`) and that take a single request are
retried. Channels to peers do not retry: a peer that is lost needs a new handshake first.

**Proxies.** A channel goes through an HTTP proxy when its caller names one, and never because a
variable of the environment (`http_proxy` and its like) does. A proxy of the outside world cannot
reach this machine or a private network, so that it is not used for loopback, private and
link-local addresses, for names that only a local resolver knows, and for the hosts in
`no_grpc_proxy` or `no_proxy`. Peers are dialled without one: a session belongs to one connection.

**Certificates.** A channel that was given a source of credentials uses renewed ones for new calls
(`renewed_channel`).
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from fedcoin.network.client.renewed_channel import Credentials, RenewedChannel
from fedcoin.network.grpc_options import API_MESSAGE_BYTES, GrpcOptions

MAX_ATTEMPTS: Final = 3
"""How often an idempotent call is made, the first time included."""

_RETRY_POLICY: Final = {
    "maxAttempts": MAX_ATTEMPTS,
    "initialBackoff": "0.1s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}

PROXY_VARIABLES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables from which gRPC would take a proxy by itself."""

# Names that are only resolved inside one machine or network: RFC 6761 (localhost), RFC 6762
# (local), RFC 8375 (home.arpa), ICANN's reservation of 2024 (internal), and the custom (lan).
_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal", ".lan", ".home.arpa")


def open_channel(
    target: str,
    *,
    credentials: Credentials | None = None,
    max_message_bytes: int = API_MESSAGE_BYTES,
    retried_services: Sequence[ServiceDescriptor] = (),
    proxy: str = "",
    tls_name: str = "",
) -> grpc.aio.Channel:
    """Make a channel to a server. Nothing is dialled before the first call.

    Args:
        target: `host:port`, `[v6]:port` or `unix:/path`.
        credentials: TLS, or None for plaintext. From a source of credentials, each new call uses
            those of now.
        max_message_bytes: The longest message that may be sent or received, in bytes.
        retried_services: Services whose idempotent methods are retried.
        proxy: The HTTP proxy, as `http://host:port`; empty for none. It is not used for a target
            that `is_local_target`.
        tls_name: The name that the server's certificate must hold in place of the target's host;
            empty means the host.

    Returns:
        The channel; the caller closes it.
    """
    options = [
        *channel_options(max_message_bytes),
        ("grpc.enable_retries", int(bool(retried_services))),
        ("grpc.enable_http_proxy", int(is_proxied(target, proxy))),
    ]
    if proxy:
        options.append(("grpc.http_proxy", proxy))
    if tls_name:
        options.append(("grpc.ssl_target_name_override", tls_name))
    if retried_services:
        options.append(("grpc.service_config", _service_config(retried_services)))
    if credentials is None:
        return grpc.aio.insecure_channel(target, options=options)

    def dial(given: grpc.ChannelCredentials) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(target, given, options=options)

    if isinstance(credentials, grpc.ChannelCredentials):
        return dial(credentials)
    return RenewedChannel(credentials, dial)


def is_local_target(target: str) -> bool:
    """Tell whether a target lies on this machine or in a private network, as far as it shows.

    Names are not resolved: a name counts as local when it has no dot, as names of containers
    have, or ends with a suffix that is reserved for local networks.

    Args:
        target: `host:port`, `[v6]:port` or `unix:/path`.

    Returns:
        True for Unix sockets, for addresses that are not globally reachable (IANA's
        special-purpose registries), and for local names.
    """
    if target.startswith("unix:"):
        return True
    host = target.rpartition(":")[0].strip("[]")
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith(_LOCAL_SUFFIXES)


def is_proxied(target: str, proxy: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a target is dialled through a proxy.

    Args:
        target: `host:port`, `[v6]:port` or `unix:/path`.
        proxy: The HTTP proxy; empty for none.
        environment: The environment's variables.

    Returns:
        False for local targets, and for those that `no_grpc_proxy` or `no_proxy` names.
    """
    return bool(proxy) and not is_local_target(target) and not _is_excepted(target, environment)


def describe_target(target: str, proxy: str, environment: Mapping[str, str] = os.environ) -> str:
    """Name a server in errors, with the proxy through which it is dialled, if any.

    Args:
        target: `host:port`, `[v6]:port` or `unix:/path`.
        proxy: The HTTP proxy; empty for none.
        environment: The environment's variables.

    Returns:
        The target, such as `node.example.org:7051 (through the proxy http://proxy:3128)`;
        passwords are left out.
    """
    if not is_proxied(target, proxy, environment):
        return target
    return f"{target} (through the proxy {without_password(proxy)})"


def without_password(url: str) -> str:
    """Remove the user and the password from a proxy's address.

    Args:
        url: The address, such as `http://user:secret@proxy:3128`.

    Returns:
        The address without what is between `//` and the last `@`.
    """
    scheme, slashes, rest = url.rpartition("//")
    return f"{scheme}{slashes}{rest.rpartition('@')[2]}"


def _is_excepted(target: str, environment: Mapping[str, str]) -> bool:
    """Tell whether no_grpc_proxy or no_proxy names the target's host, or a suffix of it."""
    listed = environment.get("no_grpc_proxy") or environment.get("no_proxy") or ""
    host = target.rpartition(":")[0].strip("[]").lower()
    endings = [item.strip().lower() for item in listed.split(",")]
    return any(item and host.endswith(item) for item in endings)


def is_retried(method: MethodDescriptor) -> bool:
    """Tell whether failed calls of a method may be repeated automatically.

    Args:
        method: The method's descriptor.

    Returns:
        True when the `.proto` file marks the method as idempotent and it takes a single request.
    """
    level = method.GetOptions().idempotency_level
    return level != MethodOptions.IDEMPOTENCY_UNKNOWN and not method.client_streaming


def _service_config(services: Iterable[ServiceDescriptor]) -> str:
    names = [
        {"service": service.full_name, "method": method.name}
        for service in services
        for method in service.methods
        if is_retried(method)
    ]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": _RETRY_POLICY}]})


def channel_options(max_message_bytes: int) -> GrpcOptions:
    """List gRPC's options that all channels have.

    Args:
        max_message_bytes: The longest message that may be sent or received, in bytes.

    Returns:
        Options for `grpc.aio.insecure_channel` and `secure_channel`.
    """
    return (
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # Each channel has its own connection. From gRPC's shared pool a new channel would inherit
        # the back-off of the one that it replaces, and two channels in one process would share a
        # peer's session, which belongs to a connection.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 200),
        # The time that one attempt to connect has, and no pause between two attempts. A server on
        # another continent needs a second with TLS, and one that is paused or busy takes longer.
        ("grpc.min_reconnect_backoff_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    )
