"""Device engines: the only ones with I/O. Same identity, mailboxes and message types as any engine; a driver, no rules.

A driver is an asynchronous task that receives messages, deals with the world outside, and sends. All input from outside
enters the system through a driver and bears its engine's name. For simulation a device has a
deterministic twin: a family with the same mailboxes and types.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .box import Box
from .check.definition import check_device
from .declaration import Declaration
from .place import caller
from .ref import Ref
from .store.interface import interface_of
from .trigger import Configuration, Delivery

if TYPE_CHECKING:
    from typing import Never

    from typing_extensions import TypeForm, TypeVar

    from .family import Family

    A_co = TypeVar("A_co", covariant=True)
    C = TypeVar("C", default=None)
    E = TypeVar("E", default=Never)
    M = TypeVar("M")
else:
    from typing import TypeVar

    A_co, C, E, M = TypeVar("A_co"), TypeVar("C"), TypeVar("E"), TypeVar("M")


class DeviceHost(Protocol):
    """The host as a driver sees it. Calls belong to the driver's event loop: its own task and those it starts."""

    @property
    def me(self) -> Configuration[Any]:
        """The engine's identity."""
        ...

    @property
    def config(self) -> Any:
        """The device's parameters."""
        ...

    def now_ns(self) -> int:
        """The engine's clock: nanoseconds since the epoch, never going back."""
        ...

    async def receive(self) -> Delivery[Any]:
        """The next message, in order of arrival; waits for one."""
        ...

    def send(self, target: Ref[M], message: M) -> bool:
        """Send at once. False: the way is full and nothing was sent; `writable` waits until a new try is worthwhile."""
        ...

    async def writable(self, target: Ref[Any]) -> None:
        """Wait until a send to `target` may succeed."""
        ...

    async def send_when_writable(self, target: Ref[M], message: M) -> None:
        """Send, now or as soon as the way has room. Meanwhile mail for the device waits, unless another task takes it,
        and its senders are stopped in turn."""
        ...


class Driver(Protocol):
    """The behaviour of a device engine. Made anew for each engine. Its end ends the engine, an exception is a crash."""

    async def run(self, host: DeviceHost) -> None:
        """Run until cancelled."""
        ...


class Device(Declaration[A_co, C, E]):
    """The declaration of a device engine: as `Family`, with a driver instead of rules.

    Args:
        driver: makes a driver; a class without parameters will do.
        twin: its deterministic twin, with the same mailboxes and message types.

    Raises:
        DefinitionError: with every mistake in the declaration, each with file and line.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            *,
            accepts: TypeForm[A_co],
            emits: TypeForm[E] = ...,
            config: type[C] = ...,
            boxes: Sequence[Box[Any, Any]] = (),
            driver: Callable[[], Driver],
            twin: Family[Any, C, Any, E] | None = None,
        ) -> None: ...

    else:

        def __init__(
            self,
            name: str,
            *,
            accepts: Any,
            emits: Any = None,
            config: Any = None,
            boxes: Any = (),
            driver: Any,
            twin: Any = None,
        ) -> None:
            self._declare(name, config, accepts, emits, boxes, caller(1))
            self.driver = driver
            self.twin = twin
            check_device(self, twin)

    driver: Callable[[], Driver]
    twin: Family[Any, C, Any, E] | None

    def interface(self) -> dict[str, Any]:
        """The outside of the device as plain data, made once and never changed by callers; see `interface`."""
        if self._interface is None:
            self._interface = interface_of(self)
        return self._interface
