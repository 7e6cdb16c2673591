"""Whether a host answers: looked at, within a time limit, and never assumed."""

from __future__ import annotations

import ssl
import threading
import urllib.error
import urllib.request
from urllib.parse import urlsplit

TIMEOUT = 8.0
"""Seconds to wait for a sign of life before a download is given up."""

GLANCE = 3.0
"""Seconds that a mere look at the network may take."""


def unreachable(url: str, timeout: float = TIMEOUT) -> str | None:
    """Why a host does not answer, or None if it does; the libraries' own retries take most of a minute to say so.

    Never takes longer than `timeout` seconds: a name server that does not answer obeys no time limit of a connection,
    so that the question is asked in a thread that can be left behind.
    """
    answer = [f"no answer within {timeout:g} s"]  # unless one comes
    answered = threading.Event()

    def ask() -> None:
        answer[:] = [reason] if (reason := _asked(url, timeout)) else []
        answered.set()

    threading.Thread(target=ask, daemon=True).start()
    answered.wait(timeout)
    return next(iter(answer), None)


def host(url: str) -> str:
    """The host's name in an address."""
    return urlsplit(url).hostname or url


def _asked(url: str, timeout: float) -> str | None:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        # the libraries may trust other certificates
        return None if isinstance(error.reason, ssl.SSLError) else str(error.reason)
    except OSError as error:
        return str(error) or type(error).__name__
    return None
