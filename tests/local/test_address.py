from __future__ import annotations

import pytest

from local.address import check_address, local_url, ready
from shared.run.errors import SettingsError
from tests.ports import free_port


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("localhost", "http://localhost:80"),
    ],
)
def test_where_a_client_on_this_machine_finds_it(host: str, url: str) -> None:
    assert local_url(host, 80) == url


def test_an_address_without_a_server_is_not_ready() -> None:
    assert not ready(local_url("127.0.0.1", free_port()))


def test_another_port_is_advised_only_where_it_would_help() -> None:
    with pytest.raises(SettingsError) as refused:
        check_address("203.0.113.9", 8000)  # an address of no machine
    assert "203.0.113.9" in str(refused.value)
    assert "another port" not in str(refused.value)
