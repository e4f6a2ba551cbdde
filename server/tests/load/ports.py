"""Ports for servers that cannot say which they got."""

import socket


def free_ports(first):
    """Each free port once, from `first` to below those that the system gives to connections: a
    server that is killed finds its own free again."""
    for port in range(first, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        yield port
