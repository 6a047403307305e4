"""Connections of workers: sockets that notice a machine that is gone, and messages of JSON.

A message is the length of a JSON text, 8 bytes in network order, and the text; files follow as
their bytes.
"""

from __future__ import annotations

import json
import select
import socket
import struct
from typing import Any

from twofold.components.errors import UsageError

_LENGTH = struct.Struct("!Q")
# A longer text is none of ours, and not read.
_LONGEST_TEXT = 64 << 20
# A machine that is gone says nothing: its connection is held for lost after 4 + 3 * 2 seconds.
_KEEP_ALIVE = {"TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}
# How the text of a worker that ends begins.
_LEFT = b'{"left"'
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def listen(address: str) -> socket.socket:
    """Listens at the chief's address, ``host:port``, of which a loopback one stays on this machine.

    Raises:
        UsageError: if it is taken, or not of this machine.

    """
    host, _, port = address.rpartition(":")
    local = host.strip("[]") in _LOOPBACK
    try:
        if local or not socket.has_dualstack_ipv6():
            return socket.create_server(("127.0.0.1" if local else "", int(port)))
        return socket.create_server(
            ("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128
        )
    except OSError as error:
        raise UsageError(
            f"the chief cannot listen at {address}, its address in TF_CONFIG: "
            f"{error.strerror or error}"
        ) from error


def set_keep_alive(connection: socket.socket) -> None:
    """Lets a connection wait without a limit, send at once, and end where the machine is gone."""
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        # Not every system knows each of them.
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def has_ended(connection: socket.socket) -> bool:
    """Tells whether the other side has closed a connection, without waiting."""
    if not select.select([connection], [], [], 0.0)[0]:
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        return True


def is_leaving(connection: socket.socket) -> bool:
    """Tells whether a connection has ended, or announces its end next."""
    try:
        if not select.select([connection], [], [], 0.0)[0]:
            return False
        next_bytes = connection.recv(_LENGTH.size + len(_LEFT), socket.MSG_PEEK)
    except (OSError, ValueError):
        return True
    return not next_bytes or next_bytes[_LENGTH.size :] == _LEFT


def encode_message(value: Any) -> bytes:
    """Returns the bytes of a message of JSON values."""
    text = json.dumps(value).encode()
    return _LENGTH.pack(len(text)) + text


def read_message(connection: socket.socket) -> dict[str, Any]:
    """Waits for a message, which is an object.

    Raises:
        EOFError: if the connection ends before it does.
        OSError: if the connection fails.
        TypeError: if it is another JSON value.
        ValueError: if it is too long, or no JSON.

    """
    (length,) = _LENGTH.unpack(_read_bytes(connection, _LENGTH.size))
    if length > _LONGEST_TEXT:
        raise ValueError(f"a text of {length:,} bytes")
    value = json.loads(_read_bytes(connection, length))
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no message")
    return value


def _read_bytes(connection: socket.socket, count: int) -> bytes:
    content = bytearray()
    while len(content) < count:
        part = connection.recv(count - len(content))
        if not part:
            raise EOFError
        content += part
    return bytes(content)
