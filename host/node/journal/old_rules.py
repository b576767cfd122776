"""Logs of format 1: their turns ran before there was a value law, and may have made values that the law refuses.

Such turns are run again under the rules they ran under (`Family.under_old_rules`), to the end of the log, because their
outputs have left. Then the engine is *brought to form*: its environment gets floats for ints in a float's place, and
timers at whole nanoseconds, provided it can then be written and read back. If it cannot, the newest environment of the
log that can takes its place. The triggers behind that environment go to quarantine, the numbers of their outputs count
as used, and their outputs still leave. The next record of the engine is an image, so this happens once.

An image that cannot be read is passed over if the engine exists already: the replay has what the image was made of.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engines.model import Environment, Family
from engines.model.conform import conform
from host.node.news import Trigger

FORMAT_WITH_LAW: Final = 2
"""Segments of this format, and later ones, were written under the value law."""

DETAIL: Final = "handled before there was a value law, with a state that cannot be written: "


class Formless(Exception):
    """An environment cannot be brought to form; the text says why."""


class LeftOut(msgspec.Struct, frozen=True):
    """A trigger left out of the state an engine goes on from. `payload` is the message, None for timers."""

    trigger: Trigger
    payload: bytes | None


class Formed(msgspec.Struct, frozen=True):
    """An environment in form: the turn it is from, the triggers behind it that were left out, and why.

    `is_converted`: the bytes of the environment were changed.
    """

    env: Environment[Any]
    turn: int
    is_converted: bool
    left_out: tuple[LeftOut, ...] = ()
    reason: str = ""


def in_form(family: Family[Any, Any, Any, Any], env: Environment[Any]) -> Environment[Any]:
    """The environment in the form that the law requires. Raises `Formless`."""
    try:
        state = conform(env.state, family.states)
        cluster = tuple(
            held
            if held is None
            else msgspec.structs.replace(
                held,
                state=conform(held.state, family.boxes[number].states),
                stored=tuple(
                    msgspec.structs.replace(one, message=conform(one.message, type(one.message))) for one in held.stored
                ),
            )
            for number, held in enumerate(env.mailboxes)
        )
        timers = env.timers
        for name, pending in env.timers.items():
            if type(pending.deadline_ns) is not int:
                timers = timers.set(name, msgspec.structs.replace(pending, deadline_ns=_whole(pending.deadline_ns)))
        formed = Environment(state, cluster, timers, env.acquaintances, env.children, env.timer_count)
        dump = family.dump(formed)
        if family.dump(family.load(dump)) != dump:
            raise Formless("the bytes read back give another environment")
    except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
        raise Formless(str(error) or type(error).__name__) from None
    return formed


def _whole(deadline_ns: float) -> int:
    """The first whole nanosecond that is not earlier."""
    return -int(-deadline_ns // 1)


def form(family: Family[Any, Any, Any, Any], env: Environment[Any], turn: int) -> Formed:
    """The environment that old turns made, brought to form. Raises `Formless`."""
    formed = in_form(family, env)
    return Formed(formed, turn, family.dump(env) != family.dump(formed))


class FormWatch:
    """Mutable, one an engine whose last environment has no form: the newest one in form, and the triggers since."""

    def __init__(self, family: Family[Any, Any, Any, Any], env: Environment[Any], turn: int) -> None:
        self._family = family
        self._left_out: list[LeftOut] = []
        self._reason = ""
        self._has_form = False
        self._env, self._turn = env, turn
        self.look(env, turn)

    def saw(self, trigger: Trigger, payload: bytes | None, env: Environment[Any], turn: int) -> None:
        """A transition over this trigger made this environment."""
        if env is not self._env or self._left_out:
            self._left_out.append(LeftOut(trigger, payload))
        self.look(env, turn)

    def look(self, env: Environment[Any], turn: int) -> None:
        """Keep this environment if it can be brought to form."""
        try:
            self._env, self._turn = in_form(self._family, env), turn
        except Formless as error:
            self._reason = str(error)
        else:
            self._has_form = True
            self._left_out.clear()

    @property
    def formed(self) -> Formed:
        """The environment from which the engine goes on. Raises `Formless` if it never had one in form."""
        if not self._has_form:
            raise Formless(self._reason)
        return Formed(self._env, self._turn, True, tuple(self._left_out), self._reason)
