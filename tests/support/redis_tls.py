"""Certificates made for one test run, and Redis servers that speak TLS with them.

Made by the `openssl` program: no library is needed for it.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from redis_groups import free_port
from redis_server import RedisServer
from windlass.embedded_redis import ServerBinary, found_servers


class Authority:
    """A certificate authority in a folder.

    Args:
        folder: Where keys and certificates go.
        name: Of the authority, and of its file: `<name>.crt`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        _openssl(
            folder, "req", "-x509", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.crt",
            "-days", "2", "-subj", f"/CN={name}",
        )  # fmt: skip

    @property
    def certificate(self) -> str:
        """What trusts it."""
        return str(self._folder / f"{self._name}.crt")

    def issue(self, name: str, *, days: int = 2) -> tuple[str, str]:
        """Sign a certificate for 127.0.0.1 and localhost; days < 0: it has expired.

        Returns:
            Paths of certificate and key.
        """
        folder = self._folder
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        _openssl(
            folder, "req", "-new", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", f"/CN={name}",
        )  # fmt: skip
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{self._name}.crt", "-CAkey",
            f"{self._name}.key", "-CAcreateserial", "-out", f"{name}.crt", "-extfile", "ext",
            "-days", str(days),
        )  # fmt: skip
        return str(folder / f"{name}.crt"), str(folder / f"{name}.key")


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class TlsServer(RedisServer):
    """A server that speaks TLS only, but for the test's own unix socket.

    Args:
        authority: Signs its certificate, and those of clients.
        certificate: Its certificate and key; by default one of the authority's.
        asks_clients: Whether clients have to show a certificate.
        config: Further directives.
    """

    def __init__(
        self,
        authority: Authority,
        certificate: tuple[str, str] | None = None,
        *,
        asks_clients: bool = False,
        config: Mapping[str, str] | None = None,
    ) -> None:
        cert, key = certificate or authority.issue("server")
        self.tls_port = free_port()
        super().__init__(
            tls_binary(),
            {
                "port": "0", "tls-port": str(self.tls_port), "tls-cert-file": cert,
                "tls-key-file": key, "tls-ca-cert-file": authority.certificate,
                "tls-auth-clients": "yes" if asks_clients else "no", **(config or {}),
            },
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"rediss://127.0.0.1:{self.tls_port}/0"


@functools.cache
def _tls_binary() -> ServerBinary | None:
    for binary in found_servers():
        with tempfile.TemporaryDirectory() as folder:
            # Without a certificate it does not start; what it says tells whether it knows TLS.
            said = subprocess.run(
                [str(binary.path), "--port", "0", "--tls-port", "1", "--dir", folder],
                capture_output=True, text=True, timeout=20, check=False,
            )  # fmt: skip
        if "tls-cert-file" in said.stdout + said.stderr:
            return binary
    return None


def tls_binary() -> ServerBinary:
    """Return a Redis server program that was built with TLS, or skip the test."""
    binary = _tls_binary()
    if binary is None:
        pytest.skip("no Redis server program here was built with TLS")
    return binary


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
