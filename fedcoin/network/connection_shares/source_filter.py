"""Have the kernel drop what some hosts send to a listening socket, so that they cannot connect.

A socket filter (classic BPF) at a listening TCP socket sees the first packet of each connection.
Accepted connections keep the filter with which they began, and a host that is dropped later goes on
with those that it has. It needs no privileges. Linux only.
"""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import sys
from collections.abc import Sequence
from typing import Final

from fedcoin.network.connection_shares.own_connections import with_socket
from fedcoin.network.host_groups import IpNetwork

MAX_SOURCES: Final = 256
"""The largest number of sources of a filter; the kernel takes 4,096 instructions."""

MAX_PASSING: Final = 32
"""The largest number of addresses that are let through nevertheless: older kernels have 20 KiB for
the filter of a socket."""

_ATTACH, _DETACH = 26, 27
"""SO_ATTACH_FILTER and SO_DETACH_FILTER."""
_NETWORK_HEADER: Final = -0x100000 & 0xFFFFFFFF
"""SKF_NET_OFF: offsets from here are counted from the IP header."""
_LOAD_BYTE, _LOAD_WORD, _AND, _JUMP_IF_EQUAL, _JUMP, _RETURN = 0x30, 0x20, 0x54, 0x15, 0x05, 0x06
_SOURCE_4, _SOURCE_6 = 12, 8
"""Where the source is in the IP header, in bytes."""
_TAKE: Final = 0xFFFFFFFF

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


def build_filter(sources: Sequence[str], passing: Sequence[str] = ()) -> bytes:
    """Write the program that drops packets of some sources.

    Args:
        sources: IPv4 addresses, IPv6 addresses and their /64 networks, as `HostGroups.group_of`
            names them.
        passing: IPv6 addresses that are let through, also where a network of theirs is dropped.

    Returns:
        The instructions, 8 bytes each.
    """
    networks = [ipaddress.ip_network(source) for source in sources]
    four: list[Instruction] = [(_LOAD_WORD, 0, 0, _NETWORK_HEADER + _SOURCE_4)]
    six: list[Instruction] = []
    for address in passing:
        six += [*_compare_6(ipaddress.ip_network(address)), (_RETURN, 0, 0, _TAKE)]
    for network in networks:
        if network.version == 6:
            six += [*_compare_6(network), (_RETURN, 0, 0, 0)]
            continue
        (word,) = struct.unpack("!I", network.network_address.packed)
        four += [(_JUMP_IF_EQUAL, 0, 1, word), (_RETURN, 0, 0, 0)]
    taken: list[Instruction] = [(_RETURN, 0, 0, _TAKE)]
    version: list[Instruction] = [
        (_LOAD_BYTE, 0, 0, _NETWORK_HEADER),
        (_AND, 0, 0, 0xF0),
        (_JUMP_IF_EQUAL, 0, 1, 0x60),
        (_JUMP, 0, 0, len(four) + 1),
    ]
    program = [*version, *four, *taken, *six, *taken]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _compare_6(network: IpNetwork) -> list[Instruction]:
    """Compare the source with 64 or 128 bits; jump over the next instruction if it differs."""
    words = struct.unpack("!4I", network.network_address.packed)[: network.prefixlen // 32]
    compared: list[Instruction] = []
    for index, word in enumerate(words):
        compared.append((_LOAD_WORD, 0, 0, _NETWORK_HEADER + _SOURCE_6 + 4 * index))
        compared.append((_JUMP_IF_EQUAL, 0, 2 * (len(words) - index) - 1, word))
    return compared


def keep_out(
    descriptors: Sequence[int], sources: Sequence[str], passing: Sequence[str] = ()
) -> bool:
    """Drop packets of some sources at listening sockets, in place of those of an earlier call.

    Args:
        descriptors: File descriptors of listening TCP sockets.
        sources: IPv4 addresses, IPv6 addresses and their /64 networks, at most `MAX_SOURCES`; none
            lets everybody connect.
        passing: IPv6 addresses that are let through nevertheless, at most
            `MAX_PASSING`.

    Returns:
        False where the system has no such filters.
    """
    if sys.platform != "linux":
        return False
    program = ctypes.create_string_buffer(build_filter(sources, passing))
    count = (len(program) - 1) // 8
    # struct sock_fprog: the number of instructions and a pointer to them.
    packed = struct.pack("@HP", count, ctypes.addressof(program))
    done: list[bool] = []

    def change(one: socket.socket) -> None:
        if sources:
            try:
                one.setsockopt(socket.SOL_SOCKET, _ATTACH, packed)
            except OSError:
                # There is not always memory for the old and the new filter at once.
                one.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
                one.setsockopt(socket.SOL_SOCKET, _ATTACH, packed)
        else:
            one.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
        done.append(True)

    for descriptor in descriptors:
        with_socket(descriptor, change)
    return len(done) == len(descriptors)
