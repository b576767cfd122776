"""The commit: a transition's effects become a new environment and outputs, all of them or none.

Effects happen in order on a draft. The environment they started from is never touched, so a failure needs no undoing:
the draft is dropped. An effect's references are checked here (an emitted type, a declared mailbox or timer, a fresh
child word, a stored message), since types cannot catch these mistakes. So is whether its values conform to their
declared types (`law`): a value on the draft equals what its bytes will give.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .acquaintance import learn
from .box import Mailbox, StoredMessage
from .check.immutable import owned
from .effects import Become, CancelTimer, Consume, EffectError, Forget, Note, Put, SetTimer, Spawn, Stop, Store
from .environment import NO_TIMERS, Environment, Pending
from .law import ADDRESS_CHARS_MAX
from .names import parse_address
from .outcome import Noted, Outgoing, Output, Spawned, Stopped
from .sending import Sent
from .spawning import child_family, child_types, child_word
from .trigger import Cause, Configuration, Delivery

if TYPE_CHECKING:
    from .family import Family

EFFECTS_MAX: Final = 65_536
"""Effects of one transition; more fail it, since all of them happen before anything else can run."""


class StoredOverflow(Exception):
    """A message cannot be stored: its mailbox is full."""

    def __init__(self, mailbox: int, stored_max: int) -> None:
        super().__init__(f"mailbox {mailbox} holds its {stored_max} stored messages")
        self.mailbox = mailbox
        self.stored_max = stored_max


class Draft:
    """A commit under way: the environment after the effects so far, and their outputs."""

    __slots__ = ("cause", "configuration", "env", "family", "now_ns", "outputs", "stopped")

    def __init__(
        self,
        family: Family[Any, Any, Any, Any],
        configuration: Configuration[Any],
        env: Environment[Any],
        cause: Cause,
        now_ns: int,
        outputs: list[Output],
    ) -> None:
        self.family = family
        self.configuration = configuration
        self.env = env
        self.cause = cause
        self.now_ns = now_ns
        self.outputs = outputs
        self.stopped = False

    def mailbox(self, number: int) -> Mailbox[Any, Any]:
        """A mailbox as it stands. Raises EffectError when the family does not declare it."""
        mailboxes = self.env.mailboxes
        found = mailboxes[number] if number < len(mailboxes) else None
        if found is None:
            raise EffectError(f"{self.family.name} declares no mailbox {number}")
        return found

    def put_mailbox(self, number: int, mailbox: Mailbox[Any, Any]) -> None:
        """Replace a mailbox."""
        mailboxes = self.env.mailboxes
        if len(mailboxes) == 1:
            self.env = self.env.with_mailboxes((mailbox,))
        else:
            self.env = self.env.with_mailboxes((*mailboxes[:number], mailbox, *mailboxes[number + 1 :]))


def commit(
    family: Family[Any, Any, Any, Any],
    configuration: Configuration[Any],
    env: Environment[Any],
    cause: Cause,
    now_ns: int,
    effects: Any,
) -> tuple[Environment[Any], tuple[Output, ...]]:
    """The environment and outputs after an action's result; `Stopped` is the last output of an engine that ends.

    Raises:
        EffectError: an effect that cannot happen.
        StoredOverflow: a message cannot be stored, because its mailbox is full.
    """
    kind = type(effects)
    if kind is list or kind is tuple:
        if not effects:
            return env, ()
    elif kind is Sent and not family.strict:
        return env, (outgoing(family, effects),)
    else:
        effects = (effects,) if kind in PERFORM else (Become(effects),)
    if len(effects) > EFFECTS_MAX:
        raise EffectError(f"{len(effects)} effects are more than the {EFFECTS_MAX} of one transition")
    outputs: list[Output] = []
    draft = None  # most transitions change a state and send: what does more is done on a draft
    for effect in effects:
        kind = type(effect)
        if kind is Sent and not family.strict:
            outputs.append(outgoing(family, effect))
            continue
        if kind is Become and draft is None:
            env = become(family, env, effect)
            continue
        perform = PERFORM.get(kind)
        if perform is None:
            raise EffectError(f"an action returns effects or a state, not {kind.__name__}")
        if draft is None:
            draft = Draft(family, configuration, env, cause, now_ns, outputs)
        perform(draft, effect)
    if draft is None:
        return env, tuple(outputs)
    if draft.stopped:
        draft.env = draft.env.with_timers(NO_TIMERS)
        outputs.append(Stopped())
    return draft.env, tuple(outputs)


def outgoing(family: Family[Any, Any, Any, Any], effect: Sent[Any]) -> Outgoing:
    """The output of a send, its type and address checked."""
    law = family.law
    target: Any = effect.target
    conforming = law.emitted.get(type(effect.message))
    if conforming is None:
        raise EffectError(f"{family.name} emits no {type(effect.message).__name__}: add it to emits=")
    message = conforming(effect.message)
    if type(target) is str and target.isascii() and len(target) <= ADDRESS_CHARS_MAX and "#" not in target:
        return Outgoing(target, 0, message)  # as nearly all are
    name, mailbox = address(target) if "#" in target else (target, 0)
    law.address(name, mailbox)
    return Outgoing(name, mailbox, message)


def address(target: str) -> tuple[str, int]:
    """Name and mailbox of an address with a mailbox. Raises EffectError."""
    try:
        return parse_address(target)
    except ValueError as error:
        raise EffectError(str(error)) from None


def become(family: Family[Any, Any, Any, Any], env: Environment[Any], effect: Become[Any]) -> Environment[Any]:
    """The environment with another state, its type checked."""
    state = effect.state
    if type(state) not in family.state_types:
        raise EffectError(f"{family.name} has no state of type {type(state).__name__}")
    state = family.law.state(state, env.state)
    if family.holds_blobs:
        state = owned(state)
    return Environment(state, env.mailboxes, env.timers, env.acquaintances, env.children, env.timer_count)


def _become(draft: Draft, effect: Become[Any]) -> None:
    draft.env = become(draft.family, draft.env, effect)


def _put(draft: Draft, effect: Put) -> None:
    number = effect.box.number
    before = draft.mailbox(number)
    family = draft.family
    box = family.boxes[number]
    if type(effect.state) not in box.state_types:
        raise EffectError(f"mailbox {number} of {family.name} has no state of type {type(effect.state).__name__}")
    state = family.law.mailbox_state(number, effect.state, before.state)
    state = owned(state) if family.holds_blobs else state
    draft.put_mailbox(number, Mailbox(state, before.stored, before.count))


def _send(draft: Draft, effect: Sent[Any]) -> None:
    output = outgoing(draft.family, effect)
    if draft.family.strict and not _may_send(draft, output.target):
        raise EffectError(f"{draft.family.name} is strict and not acquainted with {output.target!r}")
    draft.outputs.append(output)


def _may_send(draft: Draft, name: str) -> bool:
    """Whether a strict engine knows this name; it always knows itself."""
    return name in draft.env.acquaintances or name == draft.configuration.name


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
    message = draft.family.law.stored(cause.message)
    message = owned(message) if draft.family.holds_blobs else message
    stored = StoredMessage(count, cause.sender, number, message, draft.now_ns)
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
    deadline_ns = draft.family.law.deadline_ns(effect, draft.now_ns)
    number = draft.env.timer_count + 1
    pending = Pending(number, max(deadline_ns, draft.now_ns + 1))  # not yet elapsed: mail gets its turn in between
    draft.env = draft.env.with_timers(draft.env.timers.set(effect.timer.name, pending), number)


def _cancel_timer(draft: Draft, effect: CancelTimer) -> None:
    if effect.timer not in draft.family.timers:
        raise EffectError(f"{draft.family.name} declares no timer {effect.timer.name!r}")
    draft.env = draft.env.with_timers(draft.env.timers.without(effect.timer.name))


def _spawn(draft: Draft, effect: Spawn) -> None:
    family, ref = child_family(draft.family, effect)
    config, state = draft.family.law.child(effect, *child_types(family))
    word, children = child_word(draft.env.children, effect.child)
    name = draft.configuration.child(word)
    draft.env = draft.env.with_children(children)
    if draft.family.strict:
        draft.env = draft.env.with_acquaintances(learn(draft.env.acquaintances, (name,)))
    draft.outputs.append(Spawned(name, ref, config, state, family))


def _forget(draft: Draft, effect: Forget) -> None:
    draft.env = draft.env.with_acquaintances(draft.env.acquaintances.without(effect.name))


def _note(draft: Draft, effect: Note) -> None:
    draft.outputs.append(Noted(*draft.family.law.note(effect)))


def _stop(draft: Draft, effect: Stop) -> None:
    draft.stopped = True


PERFORM: Final[dict[type[Any], Callable[[Draft, Any], None]]] = {
    Become: _become,
    Put: _put,
    Sent: _send,
    Store: _store,
    Consume: _consume,
    SetTimer: _set_timer,
    CancelTimer: _cancel_timer,
    Spawn: _spawn,
    Forget: _forget,
    Note: _note,
    Stop: _stop,
}
