"""Ports for servers that cannot say which they got."""

import socket

KEPT = []


def free_ports(first):
    """Each free port once, from `first` to below those that the system gives to connections: a
    server that is killed finds its own free again."""
    for port in range(first, 32_000):
        keeper = socket.socket()
        with socket.socket() as probe:
            try:
                # Tests and other scripts have to have this first, so none of them gets it too.
                keeper.bind(("127.0.0.2", port))
                keeper.listen()
                probe.bind(("127.0.0.1", port))
            except OSError:
                keeper.close()
                continue
        KEPT.append(keeper)
        yield port
