"""How a device serves orders from a table on the disk: all that are at hand in one transaction, then their answers.

The transaction is synced before any of its orders is answered. Crash points. Before the commit: nothing of the
transaction is there, and no order of it was answered. After it: all of it is there, and the orders without an answer
are to be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, aclosing
from typing import Any, Final

from engines.devices.at_hand import mail_at_hand
from engines.devices.tables import StoredTable, Table, TableFull
from engines.model import DeviceHost

AT_HAND_MAX: Final = 1_000
"""Orders of one transaction."""

Respond = Callable[[Any, Table, int], Any]
"""From an order, the table and the time to the answer."""

Refuse = Callable[[Any, str], Any]
"""From an order that does not fit, and why, to the answer."""


async def serve_orders(
    host: DeviceHost, open_table: Callable[[str, int], StoredTable], respond: Respond, refuse: Refuse
) -> None:
    """Serve until cancelled, from the table at `path` of the parameters, of `size_bytes_max`. Raises OSError or the
    backend's error when the table cannot be opened or written.
    """
    loop = asyncio.get_running_loop()
    with ExitStack() as opened, ThreadPoolExecutor(1) as thread:  # a transaction in progress ends before the close
        table = await loop.run_in_executor(thread, open_table, host.config.path, host.config.size_bytes_max)
        opened.callback(table.close)

        def transact(orders: list[Any], now_ns: int) -> list[Any]:
            return _transact(table, orders, now_ns, respond, refuse)

        async with aclosing(mail_at_hand(host, AT_HAND_MAX)) as batches:
            async for mail in batches:
                orders = [each.message for each in mail]
                answers = await loop.run_in_executor(thread, transact, orders, host.now_ns())
                for order, answer in zip(orders, answers, strict=True):
                    await host.send_when_writable(order.destination, answer)


def _transact(table: StoredTable, orders: list[Any], now_ns: int, respond: Respond, refuse: Refuse) -> list[Any]:
    """The answers, once everything is synced. A transaction that does not fit is tried order by order."""
    try:
        with table.transaction():
            return [respond(order, table, now_ns) for order in orders]
    except TableFull as error:
        if len(orders) == 1:
            return [refuse(orders[0], f"the table is full: {error}")]
    return [answer for order in orders for answer in _transact(table, [order], now_ns, respond, refuse)]
