"""A small certificate authority of the cluster's own, made with openssl.

Every certificate of a cluster comes from here: two authorities (the cluster's, and the one the API
server's aggregation layer needs apart), a key pair for service account tokens, one certificate
per component. Keys live in the cluster's state folder, readable by the owner only.
"""

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from windlass_cluster.commands import run

_DAYS = "365"
_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True, slots=True)
class Pki:
    """The certificates in one folder; each is made when it is first asked for."""

    folder: Path

    def create(self) -> None:
        """Makes the authorities and the service account key pair, unless they are there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(self.folder, 0o700)
        for authority in ("ca", "front-proxy-ca"):
            if not self.cert(authority).exists():
                self._authority(authority)
        if not self.cert("service-accounts").exists():
            key = str(self.key("service-accounts"))
            run(["openssl", "genrsa", "-out", key, "2048"])
            public = str(self.cert("service-accounts"))
            run(["openssl", "rsa", "-in", key, "-pubout", "-out", public])

    def cert(self, name: str) -> Path:
        """Where the certificate (or public key) of that name is."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Where the private key of that name is."""
        return self.folder / f"{name}.key"

    def issue(
        self, name: str, *, subject: str, sans: Sequence[str] = (), authority: str = "ca"
    ) -> None:
        """Makes a certificate good for both ends of a connection, unless it is there.

        Args:
            name: What its files are called.
            subject: As openssl writes it: "/O=groups/CN=user".
            sans: Alternative names, "IP:…" and "DNS:…".
            authority: Which authority signs.
        """
        if self.cert(name).exists():
            return
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        lines = [
            "basicConstraints=critical,CA:FALSE",
            "keyUsage=critical,digitalSignature,keyEncipherment",
            "extendedKeyUsage=serverAuth,clientAuth",
            *([f"subjectAltName={','.join(sans)}"] if sans else []),
        ]
        extensions.write_text("\n".join(lines) + "\n")
        key = str(self.key(name))
        run(["openssl", "req", *_CURVE, "-keyout", key, "-out", str(request), "-subj", subject])
        signer = ["-CA", str(self.cert(authority)), "-CAkey", str(self.key(authority))]
        serial = f"0x{os.urandom(8).hex()}"
        made = self.folder / f"{name}.partial"
        form = ["-set_serial", serial, "-days", _DAYS, "-extfile", str(extensions)]
        run(["openssl", "x509", "-req", "-in", str(request), *signer, *form, "-out", str(made)])
        made.rename(self.cert(name))

    def kubeconfig(self, path: Path, *, user: str, server: str) -> None:
        """Writes a kubeconfig for an issued certificate.

        Args:
            path: The file; only the owner may read it.
            user: The name of an issued certificate.
            server: Base URL of the API server.
        """
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(
            _KUBECONFIG.format(
                server=server,
                user=user,
                ca=_encoded(self.cert("ca")),
                cert=_encoded(self.cert(user)),
                key=_encoded(self.key(user)),
            )
        )
        partial.rename(path)

    def _authority(self, name: str) -> None:
        key, cert = str(self.key(name)), str(self.cert(name))
        form = ["-subj", f"/CN=windlass-test-{name}", "-addext", "keyUsage=critical,keyCertSign"]
        files = ["-keyout", key, "-out", cert]
        run(["openssl", "req", "-x509", *_CURVE, *files, "-days", _DAYS, *form])


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: windlass-test
clusters:
- name: windlass-test
  cluster:
    server: {server}
    certificate-authority-data: {ca}
contexts:
- name: windlass-test
  context: {{cluster: windlass-test, user: {user}}}
users:
- name: {user}
  user:
    client-certificate-data: {cert}
    client-key-data: {key}
"""
