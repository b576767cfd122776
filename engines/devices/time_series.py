"""Time series: numbers by series and time, in an SQLite file; served as a key-value store is.

A series has one value for each time, so recording a point again replaces it, and repeating an order is harmless. The
key of a point is the series and its time in order of bytes, so a range is a scan. An answer has at most `POINTS_MAX`
points and says from when on to ask for the rest.
"""

from __future__ import annotations

import struct
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

from engines.devices.table_orders import serve_orders
from engines.devices.tables import MapTable, SqliteTable, Table
from engines.model import (
    Arrived,
    Become,
    Config,
    Device,
    DeviceHost,
    Effects,
    Family,
    Map,
    Message,
    Ref,
    Send,
    Value,
    rule,
)

POINTS_MAX: Final = 1_000
"""Points of one order, and of one answer."""

NAME_CHARS_MAX: Final = 60
"""At most 240 bytes, whose number fits a byte."""

TIME_NS_MAX: Final = 2**63 - 1
_KEY_TIME: Final = struct.Struct(">Q")
_NUMBER: Final = struct.Struct(">d")

Series: TypeAlias = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
TimeNs: TypeAlias = Annotated[int, Meta(ge=0, le=TIME_NS_MAX)]


class TimeSeriesFile(Config):
    """Where the series are; a relative path begins at the folder in which the node was started.

    `size_bytes_max` bounds the whole file; beyond it points are refused. The twin does not look at it.
    """

    path: str
    size_bytes_max: Annotated[int, Meta(ge=1 << 20)] = 16 << 30


class Point(Value):
    """A value at a time."""

    time_ns: TimeNs
    value: float


class RecordPoints(Message):
    """Let the series have these points, or none of them."""

    series: Series
    points: Annotated[tuple[Point, ...], Meta(max_length=POINTS_MAX)]
    destination: Ref[PointsChanged | PointsRefused]
    request: int = 0


class DeletePoints(Message):
    """Let the series have no points from `begin_ns` to before `end_ns`; at most `POINTS_MAX` go at once."""

    series: Series
    begin_ns: TimeNs
    end_ns: TimeNs
    destination: Ref[PointsChanged | PointsRefused]
    request: int = 0


class PointsChanged(Message):
    """So many points were recorded or deleted, on the disk, at this time; `following_ns`: where to go on, None at the
    end.
    """

    series: str
    count: int
    time_ns: int
    following_ns: int | None
    request: int


class GetPoints(Message):
    """Send the points from `begin_ns` to before `end_ns`, in order of time; at most `count`."""

    series: Series
    begin_ns: TimeNs
    end_ns: TimeNs
    destination: Ref[PointsRead | PointsRefused]
    count: Annotated[int, Meta(ge=1, le=POINTS_MAX)] = POINTS_MAX
    request: int = 0


class PointsRead(Message):
    """The points; `following_ns` is the time with which to go on, None at the end."""

    series: str
    points: tuple[Point, ...]
    following_ns: int | None
    request: int


class PointsRefused(Message):
    """Nothing was done: the file is full."""

    detail: str
    request: int


Order: TypeAlias = RecordPoints | DeletePoints | GetPoints
Answer: TypeAlias = PointsChanged | PointsRead | PointsRefused


def respond(order: Order, table: Table, now_ns: int) -> Answer:
    """Reads or changes the table, and returns the answer to send once that is on the disk."""
    prefix = _prefix(order.series)
    match order:
        case RecordPoints():
            for point in order.points:
                table.put(prefix + _KEY_TIME.pack(point.time_ns), _NUMBER.pack(point.value))
            return PointsChanged(order.series, len(order.points), now_ns, None, order.request)
        case DeletePoints():
            points, following_ns = _range(table, prefix, order.begin_ns, order.end_ns, POINTS_MAX)
            for point in points:
                table.put(prefix + _KEY_TIME.pack(point.time_ns), None)
            return PointsChanged(order.series, len(points), now_ns, following_ns, order.request)
        case GetPoints():
            points, following_ns = _range(table, prefix, order.begin_ns, order.end_ns, order.count)
            return PointsRead(order.series, points, following_ns, order.request)


def _prefix(series: str) -> bytes:
    """What the keys of a series begin with, and no other series' do."""
    name = series.encode()
    return bytes([len(name)]) + name


def _range(table: Table, prefix: bytes, begin_ns: int, end_ns: int, count: int) -> tuple[tuple[Point, ...], int | None]:
    """At most `count` points, and the time of the next one."""
    found = table.entries(prefix + _KEY_TIME.pack(begin_ns), prefix, count + 1)
    times = ((_KEY_TIME.unpack(key[len(prefix) :])[0], value) for key, value in found)
    points = [Point(time_ns, _NUMBER.unpack(value)[0]) for time_ns, value in times if time_ns < end_ns]
    return tuple(points[:count]), points[count].time_ns if len(points) > count else None


class TimeSeriesStore:
    """The driver."""

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled. Raises OSError or sqlite3.Error when the file cannot be opened or written."""
        await serve_orders(host, SqliteTable, respond, _refused)


def _refused(order: Order, detail: str) -> Answer:
    return PointsRefused(detail, order.request)


class Recorded(Value):
    """State of the twin."""

    values: Map[bytes, bytes] = Map()


@rule
def serve(
    order: Order, t: Arrived[RecordPoints | DeletePoints | GetPoints, TimeSeriesFile, Recorded]
) -> Effects[Recorded, Any]:
    """Twin. State: the changes. Messages: the answer, to the destination. Timers, engines: none."""
    table = MapTable(t.env.state.values)
    answer = respond(order, table, t.now_ns)
    destination: Ref[Any] = order.destination
    return [Become(Recorded(table.values)), Send(destination, answer)]


TWIN = Family("time-series-twin", config=TimeSeriesFile, state=Recorded(), accepts=Order, emits=Answer).rules(serve)
TIME_SERIES = Device(
    "time-series", config=TimeSeriesFile, accepts=Order, emits=Answer, driver=TimeSeriesStore, twin=TWIN
)
