"""Why a Redis does not serve, in words and with what to do, by the error that it gave. Pure."""

from __future__ import annotations

from cli.doctor.finding import Finding, bad

NO_PERMISSION = "NoPermissionError"

# By the code of the answer, or by the type of redis-py's error. An error that is not here is shown as it is.
_WORDS = {
    "OutOfMemoryError": ("it is full", "Give it more memory, or shorten RETENTION_SECONDS."),
    "ReadOnlyError": ("it is a replica, and takes no writes", "Point {setting} at the primary, or at its sentinels."),
    "BusyLoadingError": ("it is loading its data", "Wait until it has."),
    "MISCONF": ("it takes no writes because it cannot save its data", "Look for a full disk on its machine."),
    NO_PERMISSION: ("its user may not do what the service does", "docs/redis.md has the rights that it needs."),
    "MOVED": ("it is a node of a cluster", "Point {setting} at a single primary."),
    "CROSSSLOT": ("it is a node of a cluster", "Point {setting} at a single primary."),
    "MasterNotFoundError": ("no sentinel knows a primary of this name", "Correct the service's name in {setting}."),
    "SSLCertVerificationError": (
        "its certificate is not one that this machine trusts",
        "Add ?ssl_ca_certs=FILE to {setting}; docs/redis.md has more.",
    ),
    "SSLError": ("it does not speak TLS as asked", "Look whether {setting} has to begin with redis:// or rediss://."),
    "ConnectionRefusedError": (
        "nothing listens at its address",
        "Start it, or correct {setting}.",
    ),
    "gaierror": ("its host has no address", "Correct the host of {setting}."),
    "FileNotFoundError": ("there is no such socket", "Start it, or correct the path of {setting}."),
    "InvalidResponse": ("what answers there is no Redis", "Correct the host and port of {setting}."),
    "TimeoutError": ("it does not answer in time", "Look whether it is paused, overloaded, or behind a firewall."),
}


def away(error: str, setting: str) -> Finding:
    """`error` is the text of an Unavailable: a type, perhaps with a code."""
    for word in reversed(error.split()):
        if word in _WORDS:
            seen, do = _WORDS[word]
            return bad("redis", seen, do.format(setting=setting))
    return bad("redis", f"does not answer ({error})", f"Start it, or set {setting} to where it is.")
