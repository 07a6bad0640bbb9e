"""Ports for the servers that tests start."""

import socket

HELD: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody else is given while this process lives: a host that dies and starts again finds it free.

    Of two sockets that allow it (SO_REUSEADDR), one may listen where the other is only bound; whoever asks for any free
    port does not get such a one. Two hosts that started at once were given the same port, once in some thousand times.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    HELD.append(held)
    return int(held.getsockname()[1])
