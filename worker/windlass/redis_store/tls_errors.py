"""Why a TLS connection failed, in words that say what to change.

Imported only after a failure of the ssl module's.
"""

from __future__ import annotations

import ssl

from windlass.errors import BrokerAccessError, BrokerError, OperationalError

#: Part of the text of a failure of ours to trust the server -> what it means, and the fix.
_OF_THE_SERVER = (
    ("expired", "has expired. Have it renewed on the server"),
    ("not yet valid", "is not valid yet. Check the clocks of both machines"),
    ("Hostname mismatch", "is for another host. Use the name that it has in broker_url, or "
     "ssl_check_hostname=false if another check is made"),
    ("IP address mismatch", "is for another address. Use the name that it has in broker_url, or "
     "ssl_check_hostname=false if another check is made"),
    ("self-signed", "was signed by a certificate authority that is not trusted here. Name the "
     "right one: ssl_ca_certs=/path/to/ca.crt"),
    ("unable to get", "was signed by a certificate authority that is not trusted here. Name the "
     "right one: ssl_ca_certs=/path/to/ca.crt"),
    ("signature failure", "was signed by a certificate authority that is not trusted here. Name "
     "the right one: ssl_ca_certs=/path/to/ca.crt"),
)  # fmt: skip
#: Part of an alert of the server's -> what it means.
_OF_OURS = (
    ("CERTIFICATE_REQUIRED", "asks for a client certificate, and none was given. Name it: "
     "ssl_certfile=/path/to/client.crt and ssl_keyfile=/path/to/client.key"),
    ("HANDSHAKE_FAILURE", "and this client have no protocol or cipher in common, or it asks for a "
     "client certificate. Name one with ssl_certfile and ssl_keyfile, and check ssl_ciphers and "
     "ssl_min_version"),
    ("UNKNOWN_CA", "does not trust the certificate authority of the client certificate in "
     "ssl_certfile. Use one that its tls-ca-cert-file has signed"),
    ("CERTIFICATE_EXPIRED", "refused the client certificate in ssl_certfile: it has expired"),
    ("BAD_CERTIFICATE", "refused the client certificate in ssl_certfile"),
    ("WRONG_VERSION_NUMBER", "does not speak TLS on this port. Use redis:// instead of rediss://, "
     "or its tls-port"),
)  # fmt: skip


def tls_error(shown_url: str, error: Exception) -> BrokerError | None:
    """Return what to raise for a failure of TLS, None for any other.

    Args:
        shown_url: Of the server, without its password.
        error: As it came from the socket.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message
        for part, meaning in _OF_THE_SERVER:
            if part in said:
                said = meaning
                break
        else:
            said = f"was refused: {said}"
        return BrokerAccessError(
            f"The certificate of the broker at {shown_url} {said} ({error.verify_message})."
        )
    if not isinstance(error, ssl.SSLError):
        return None
    if isinstance(error, ssl.SSLEOFError):
        return OperationalError(
            f"The broker at {shown_url} hung up in the TLS handshake ({error.strerror}). Does it "
            "ask for a client certificate (ssl_certfile, ssl_keyfile)? Does this port speak TLS?"
        )
    text = str(error)
    for part, meaning in _OF_OURS:
        if part in text.upper().replace(" ", "_"):
            return BrokerAccessError(f"The broker at {shown_url} {meaning} ({text}).")
    return OperationalError(
        f"The broker at {shown_url} cannot be reached over TLS: {text}. Check that its port speaks "
        "TLS, and the ssl_ options of broker_transport_options."
    )
