import socket

from durablegraph.host.front.listening import bind


def test_small_writes_are_sent_at_once():
    """Without this every answer on a kept connection waits 40 ms for the client's delayed acknowledgement."""
    with bind("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()) as client:
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client
