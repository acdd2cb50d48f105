"""Carries TCP connections from the machine's loopback into a cluster's network namespace.

Runs as `python forward.py FD HOST PORT`. The listening socket FD was made outside the namespace
and inherited: a socket stays in the namespace it was made in, while what this process opens itself
is inside. So nothing has to switch namespaces, and the host's get no link or rule.
"""

import asyncio
import contextlib
import socket
import sys

_CHUNK_BYTES = 65536


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, OSError):
        writer.write_eof()


async def main() -> None:
    """Serves until killed."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    host, port = sys.argv[2], int(sys.argv[3])

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))
        finally:
            writer.close()
            to_writer.close()

    server = await asyncio.start_server(serve, sock=listening)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
