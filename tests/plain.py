"""What an HTTP client of a test verifies: nothing, since all it speaks to is on this machine and speaks no TLS."""

import ssl

# Handed in as `verify`: left to itself, each client of httpx reads the certificates of the world, for 30 ms.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
