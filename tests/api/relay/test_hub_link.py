"""The hub replaces a link that one of its tasks finds dead while another task uses it."""

from __future__ import annotations

import anyio

from api.relay.hub import Hub
from shared.observe.supervision import Beat
from tests.api.links import Links
from tests.wait import wait_until


async def test_a_link_that_drops_during_a_subscription_is_replaced() -> None:
    """If the hub went on reading it, the link would never bring the messages of that channel."""
    links = Links()
    hub = Hub(links.client, resting="resting")
    async with anyio.create_task_group() as crew:
        crew.start_soon(hub.listen, Beat())
        await wait_until(lambda: links.made, "there is a link")
        links.made[0].dropped = True
        async with hub.subscribe("run"):
            assert links.made[-1].channels == ["resting", "run"]
        crew.cancel_scope.cancel()
    assert len(links.made) == 2


async def test_a_link_that_drops_during_a_read_is_replaced() -> None:
    links = Links()
    hub = Hub(links.client, resting="resting")
    async with anyio.create_task_group() as crew:
        crew.start_soon(hub.listen, Beat())
        await wait_until(lambda: links.made, "there is a link")
        links.made[0].drop()
        await wait_until(lambda: len(links.made) == 2, "there is another one")
        crew.cancel_scope.cancel()
