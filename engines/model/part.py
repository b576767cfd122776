"""One part of a composition: its view of the whole, and what its effects do to the whole.

State and parameters of the whole, and the states of mailboxes that both parts have, are pairs. A part's rules run
unchanged on a projected trigger: its half of each pair, the stored messages of its types, and the timers and child
words under its prefix, without the prefix. Its effects are lifted back, with prefix and other half added. Acquaintances
and the counters of timers and stored messages are shared: one engine has one of each. So a part sees gaps in numbers,
and nothing else of the other part.

Projecting costs time linear in the pending timers, stored messages and child words of the whole.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec

from .box import Box, Mailbox
from .effects import Become, CancelTimer, Put, SetTimer, Spawn
from .environment import Environment, Handle, Numbered, Timer
from .family import Family
from .interaction import Interaction
from .map import Map
from .rule import Rule
from .sending import Send, Sent
from .trigger import Arrived, Configuration, Elapsed

V = TypeVar("V")
AnyFamily = Family[Any, Any, Any, Any]
AnyRule = Rule[Any, Any, Any, Any]
AnyTrigger = Arrived[Any, Any, Any] | Elapsed[Any, Any]

LIFTED: Final = frozenset({Become, Put, Sent, SetTimer, CancelTimer, Spawn})
"""Effects that are translated for the whole; the others mean the same there."""


class PartIdentity(Configuration[Any], frozen=True):
    """The engine's identity as a part sees it: the words of its children bear its prefix."""

    prefix: str = ""

    def child(self, word: str) -> str:
        """The full name of the part's child under `word`."""
        return super().child(self.prefix + word)


class Part:
    """A family as one half of a whole.

    Args:
        side: its half of each pair.
        family: the part.
        boxes: the whole's mailboxes by number.
        paired: numbers of the mailboxes whose state is a pair.
        hidden: mailbox numbers of the message types that go to the whole itself.
    """

    def __init__(
        self,
        side: Literal["left", "right"],
        family: AnyFamily,
        boxes: dict[int, Box[Any, Any]],
        paired: frozenset[int],
        hidden: dict[type[Any], int],
    ) -> None:
        self.side = side
        self.family = family
        self.boxes = boxes
        self.paired = paired
        self.hidden = hidden
        self.timer_prefix = f"{family.name}."
        self.child_prefix = f"{family.name}-"

    def timer(self, timer: Timer) -> Timer:
        """The whole's name for a timer of this part."""
        return Timer(self.timer_prefix + timer.name)

    def rule(self, rule: AnyRule, messages: tuple[type[Any], ...]) -> AnyRule:
        """The whole's rule for a rule of this part."""
        lifted = Rule[Any, Any, Any, Any](
            self._interaction(rule) if rule.interactive else self._action(rule),
            self._guard(rule),
            rule.priority,
            None if rule.timer is None else self.timer(rule.timer),
            f"{self.family.name}.{rule.name}",
            interactive=rule.interactive,
            messages=messages,
        )
        lifted.place = rule.place
        return lifted

    def _guard(self, rule: AnyRule) -> Any:
        """The guard on the whole's trigger; its match is the part's match with the part's trigger."""
        guard = rule.guard

        def holds(t: AnyTrigger) -> tuple[Any, AnyTrigger] | None:
            seen = self.sees(t)
            if guard is None:
                return (seen.message if isinstance(seen, Arrived) else seen.timer), seen
            match = guard(seen)
            return None if match is None else (match, seen)

        return holds

    def _action(self, rule: AnyRule) -> Any:
        action = rule.action

        def act(match: tuple[Any, AnyTrigger], t: AnyTrigger) -> list[Any]:
            return self.lifts(action(*match), t)

        return act

    def _interaction(self, rule: AnyRule) -> Any:
        action = rule.action

        def act(match: tuple[Any, AnyTrigger], t: AnyTrigger) -> Interaction[Any, Any]:
            effects = yield from action(*match)
            return self.lifts(effects, t)

        return act

    def sees(self, t: AnyTrigger) -> AnyTrigger:
        """The part's view of a trigger of the whole."""
        me = t.me
        config = None if t.config is None else getattr(t.config, self.side)
        identity = PartIdentity(me.node, me.name, me.parent, config, me.birth, self._prefix_of(me))
        env = self.environment(t.env)
        if isinstance(t, Arrived):
            return Arrived(t.message, t.sender, t.mailbox, t.now_ns, config, env, identity)
        handles = tuple(self._handle(handle) for handle in t.handles if handle.name.startswith(self.timer_prefix))
        return Elapsed(self._handle(t.timer), handles, t.now_ns, config, env, identity)

    def environment(self, env: Environment[Any]) -> Environment[Any]:
        """The part's view of an environment of the whole."""
        return Environment(
            getattr(env.state, self.side),
            tuple(self._mailbox(number, mailbox) for number, mailbox in enumerate(env.mailboxes)),
            _under(env.timers, self.timer_prefix),
            env.acquaintances,
            _under(env.children, self.child_prefix),
            env.timer_count,
        )

    def lifts(self, effects: Any, t: AnyTrigger) -> list[Any]:
        """The effects on the whole of a part's effects, or of its bare new state."""
        kind = type(effects)
        if kind is not list and kind is not tuple:
            effects = [Become(effects) if kind in self.family.state_types else effects]
        return [self._lift(effect, t) if type(effect) in LIFTED else effect for effect in effects]

    def _lift(self, effect: Any, t: AnyTrigger) -> Any:
        match effect:
            case Become():
                self._check(effect.state, self.family.state_types, "has no state of type")
                return Become(self._replaced(t.env.state, effect.state))
            case Put():
                return self._put(effect, t)
            case Sent():
                return self._send(effect, t)
            case SetTimer():
                return SetTimer(self.timer(effect.timer), effect.at_ns, effect.after_ns)
            case CancelTimer():
                return CancelTimer(self.timer(effect.timer))
            case Spawn():
                return Spawn(effect.family, self._child(effect.child), effect.config, effect.state)
        raise AssertionError(f"{type(effect).__name__} is not lifted")

    def _put(self, effect: Put, t: AnyTrigger) -> Put:
        number = effect.box.number
        box = self.boxes[number]
        return Put(box, self._replaced(t.env[box].state, effect.state) if number in self.paired else effect.state)

    def _send(self, effect: Sent[Any], t: AnyTrigger) -> Sent[Any]:
        self._check(effect.message, self.family.emits_types, "emits no")
        number = self.hidden.get(type(effect.message))
        return effect if number is None else Send(self.boxes[number].at(t.me.name), effect.message)

    def _check(self, value: object, kinds: frozenset[type[Any]], what: str) -> None:
        """Raise TypeError for a value that this part may not make; the whole would take those of either part."""
        if type(value) not in kinds:
            raise TypeError(f"{self.family.name} {what} {type(value).__name__}")

    def _child(self, child: str | Numbered) -> str | Numbered:
        return self.child_prefix + child if isinstance(child, str) else Numbered(self.child_prefix + child.word)

    def _replaced(self, pair: Any, half: Any) -> Any:
        return msgspec.structs.replace(pair, **{self.side: half})

    def _handle(self, handle: Handle) -> Handle:
        return Handle(handle.name.removeprefix(self.timer_prefix), handle.number)

    def _mailbox(self, number: int, mailbox: Mailbox[Any, Any] | None) -> Mailbox[Any, Any] | None:
        own = self.family.boxes.get(number)
        if mailbox is None or own is None:
            return None
        state = getattr(mailbox.state, self.side) if number in self.paired else mailbox.state
        stored = tuple(stored for stored in mailbox.stored if type(stored.message) in own.accepts_types)
        return Mailbox(state, stored, mailbox.count)

    def _prefix_of(self, me: Configuration[Any]) -> str:
        return (me.prefix if isinstance(me, PartIdentity) else "") + self.child_prefix


def _under(whole: Map[str, V], prefix: str) -> Map[str, V]:
    """The entries whose key begins with the prefix, without it."""
    if not whole:
        return whole
    return Map((key.removeprefix(prefix), value) for key, value in whole.items() if key.startswith(prefix))
