"""The commit: a transition's effects become a new environment and outputs, all of them or none.

Effects happen in order on a draft; the environment they started from is never touched, so a failure needs no undoing: the
draft is dropped. What an effect refers to is checked here (an emitted type, a declared mailbox or timer, a fresh child
word, a stored message), since these are the mistakes types cannot see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .box import Mailbox, StoredMessage
from .declaration import Declaration
from .effects import (
    Become,
    CancelTimer,
    Consume,
    Forget,
    Note,
    Numbered,
    Put,
    Send,
    SetTimer,
    Spawn,
    Stop,
    Store,
)
from .environment import NO_TIMERS, Environment, Pending
from .names import check_word, parse_address
from .outcome import Noted, Outgoing, Output, Spawned, Stopped
from .trigger import Cause, Configuration, Delivery

if TYPE_CHECKING:
    from .family import Family

CHILD_WORDS_MAX: Final = 1_000_000
"""Child words an engine remembers for ever; a spawn under one more fails. Numbered children share one word."""

ACQUAINTANCES_MAX: Final = 1_000_000
"""Acquaintances of a strict engine; beyond, it learns no more."""


class EffectError(Exception):
    """An effect that cannot happen; the transition fails and nothing changes."""


class StoredOverflow(Exception):
    """A message is to be stored in a full mailbox."""

    def __init__(self, mailbox: int, stored_max: int) -> None:
        super().__init__(f"mailbox {mailbox} holds its {stored_max} stored messages")
        self.mailbox = mailbox
        self.stored_max = stored_max


class Draft:
    """The environment under change, and the outputs so far."""

    __slots__ = (
        "acquaintances",
        "cause",
        "children",
        "configuration",
        "family",
        "mailboxes",
        "now_ns",
        "outputs",
        "state",
        "stopped",
        "timer_count",
        "timers",
    )

    def __init__(
        self,
        family: Family[Any, Any, Any, Any],
        configuration: Configuration[Any],
        env: Environment[Any],
        cause: Cause,
        now_ns: int,
    ) -> None:
        self.family = family
        self.configuration = configuration
        self.cause = cause
        self.now_ns = now_ns
        self.state = env.state
        self.mailboxes = env.mailboxes
        self.timers = env.timers
        self.acquaintances = env.acquaintances
        self.children = env.children
        self.timer_count = env.timer_count
        self.outputs: list[Output] = []
        self.stopped = False

    def environment(self) -> Environment[Any]:
        """The draft as it stands, frozen."""
        timers = NO_TIMERS if self.stopped else self.timers
        return Environment(self.state, self.mailboxes, timers, self.acquaintances, self.children, self.timer_count)

    def mailbox(self, number: int) -> Mailbox[Any, Any]:
        """A mailbox of the draft."""
        found = self.mailboxes[number] if number < len(self.mailboxes) else None
        if found is None:
            raise EffectError(f"{self.family.name} declares no mailbox {number}")
        return found

    def put_mailbox(self, number: int, mailbox: Mailbox[Any, Any]) -> None:
        """Replace a mailbox."""
        self.mailboxes = (*self.mailboxes[:number], mailbox, *self.mailboxes[number + 1 :])


def commit(
    family: Family[Any, Any, Any, Any],
    configuration: Configuration[Any],
    env: Environment[Any],
    cause: Cause,
    now_ns: int,
    effects: Any,
) -> tuple[Environment[Any], tuple[Output, ...]]:
    """The environment and outputs after `effects`; `Stopped` is the last output of an engine that ends.

    Raises:
        EffectError: an effect that cannot happen.
        StoredOverflow: a message is to be stored in a full mailbox.
    """
    kind = type(effects)
    if kind is not list and kind is not tuple:
        effects = [effects] if kind in PERFORM else [Become(effects)]
    elif not effects:
        return env, ()
    draft = Draft(family, configuration, env, cause, now_ns)
    for effect in effects:
        perform = PERFORM.get(type(effect))
        if perform is None:
            raise EffectError(f"an action returns effects or a state, not {type(effect).__name__}")
        perform(draft, effect)
    if draft.stopped:
        draft.outputs.append(Stopped())
    return draft.environment(), tuple(draft.outputs)


def outgoing(family: Family[Any, Any, Any, Any], effect: Send[Any]) -> Outgoing:
    """The output of a send, its type and address checked."""
    message = effect.message
    if type(message) not in family.emits_types:
        raise EffectError(f"{family.name} emits no {type(message).__name__}: add it to emits=")
    target: Any = effect.target
    if "#" in target:
        name, mailbox = parse_address(target)
        return Outgoing(name, mailbox, message)
    return Outgoing(target, 0, message)


def _become(draft: Draft, effect: Become[Any]) -> None:
    if type(effect.state) not in draft.family.state_types:
        raise EffectError(f"{draft.family.name} has no state of type {type(effect.state).__name__}")
    draft.state = effect.state


def _put(draft: Draft, effect: Put) -> None:
    number = effect.box.number
    before = draft.mailbox(number)
    draft.put_mailbox(number, Mailbox(effect.state, before.stored, before.count))


def _send(draft: Draft, effect: Send[Any]) -> None:
    output = outgoing(draft.family, effect)
    if draft.family.strict and output.target not in draft.acquaintances:
        if output.target != draft.configuration.name:
            raise EffectError(f"{draft.family.name} is strict and not acquainted with {output.target!r}")
    draft.outputs.append(output)


def _store(draft: Draft, effect: Store) -> None:
    if not isinstance(draft.cause, Delivery):
        raise EffectError("Store keeps the message that arrived; timers bring none")
    store_message(draft, draft.cause)


def store_message(draft: Draft, cause: Delivery[Any]) -> None:
    """Append the message that arrived to its mailbox's stored messages. Raises StoredOverflow."""
    number = cause.mailbox
    before = draft.mailbox(number)
    bound = draft.family.boxes[number].stored_max
    if len(before.stored) >= bound:
        raise StoredOverflow(number, bound)
    count = before.count + 1
    stored = StoredMessage(count, cause.sender, number, cause.message, draft.now_ns)
    draft.put_mailbox(number, Mailbox(before.state, (*before.stored, stored), count))


def _consume(draft: Draft, effect: Consume) -> None:
    stored = effect.stored
    before = draft.mailbox(stored.mailbox)
    rest = tuple(other for other in before.stored if other.number != stored.number)
    if len(rest) == len(before.stored):
        raise EffectError(f"message {stored.number} is not stored in mailbox {stored.mailbox}")
    draft.put_mailbox(stored.mailbox, Mailbox(before.state, rest, before.count))


def _set_timer(draft: Draft, effect: SetTimer) -> None:
    if effect.timer not in draft.family.timers:
        raise EffectError(f"{draft.family.name} declares no timer {effect.timer.name!r}")
    deadline_ns = draft.now_ns + effect.after_ns if effect.at_ns is None else effect.at_ns  # type: ignore[operator]
    draft.timer_count += 1
    draft.timers = draft.timers.set(effect.timer.name, Pending(draft.timer_count, deadline_ns))


def _cancel_timer(draft: Draft, effect: CancelTimer) -> None:
    if effect.timer not in draft.family.timers:
        raise EffectError(f"{draft.family.name} declares no timer {effect.timer.name!r}")
    draft.timers = draft.timers.without(effect.timer.name)


def _spawn(draft: Draft, effect: Spawn) -> None:
    family, ref = _child_family(draft.family, effect.family)
    _check_child(family, effect)
    name = draft.configuration.child(_child_word(draft, effect.child))
    if draft.family.strict:
        draft.acquaintances = draft.acquaintances.set(name, None)
    draft.outputs.append(Spawned(name, ref, effect.config, effect.state, family))


def _child_family(
    parent: Family[Any, Any, Any, Any], named: Declaration[Any, Any, Any] | str
) -> tuple[Declaration[Any, Any, Any] | None, str]:
    """The child's family, None when it is only named, and its reference. Raises EffectError when it is not in spawns."""
    if isinstance(named, str):
        allowed = [other if isinstance(other, str) else other.ref for other in (parent, *parent.spawns)]
        if named not in allowed:
            raise EffectError(f"{parent.name} spawns no {named}: add it to spawns=")
        return None, named
    if named is not parent and named not in parent.spawns:
        raise EffectError(f"{parent.name} spawns no {named.name}: add it to spawns=")
    return named, named.ref


def _check_child(family: Declaration[Any, Any, Any] | None, effect: Spawn) -> None:
    if family is None:
        return
    wanted = family.config or type(None)
    if type(effect.config) is not wanted:
        raise EffectError(
            f"{family.name} takes {wanted.__name__} as its parameters, not {type(effect.config).__name__}"
        )
    states: frozenset[type[Any]] = getattr(family, "state_types", frozenset())
    if effect.state is not None and type(effect.state) not in states:
        raise EffectError(f"{family.name} has no state of type {type(effect.state).__name__}")


def _child_word(draft: Draft, child: str | Numbered) -> str:
    """The child's word, remembered for ever. Raises EffectError when it was used or there are too many."""
    numbered = isinstance(child, Numbered)
    word = check_word(child.word if isinstance(child, Numbered) else child)
    key = word + "." if numbered else word
    used = draft.children.get(key, 0)
    if used and not numbered:
        raise EffectError(f"the child word {word!r} was used before; names are never reused")
    if not used and len(draft.children) >= CHILD_WORDS_MAX:
        raise EffectError(f"an engine uses at most {CHILD_WORDS_MAX} child words; number the children instead")
    draft.children = draft.children.set(key, used + 1)
    return f"{key}{used + 1}" if numbered else word


def _forget(draft: Draft, effect: Forget) -> None:
    draft.acquaintances = draft.acquaintances.without(effect.name)


def _note(draft: Draft, effect: Note) -> None:
    draft.outputs.append(Noted(effect.text, effect.fields))


def _stop(draft: Draft, effect: Stop) -> None:
    draft.stopped = True


PERFORM: Final[dict[type[Any], Callable[[Draft, Any], None]]] = {
    Become: _become,
    Put: _put,
    Send: _send,
    Store: _store,
    Consume: _consume,
    SetTimer: _set_timer,
    CancelTimer: _cancel_timer,
    Spawn: _spawn,
    Forget: _forget,
    Note: _note,
    Stop: _stop,
}
