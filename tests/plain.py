"""A TLS context that verifies nothing: HTTP clients of tests connect to this machine only, without TLS."""

import ssl

# For `verify`. Without it each client of httpx reads all root certificates, for 30 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
