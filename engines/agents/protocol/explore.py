"""The roles of a protocol together: a transition system of them, for a checker, and what its traces say. Pure.

Each role is one machine over the protocol's states, or two where agents of a role write to each other. Between each two
machines is a queue of at most `QUEUE_MAX` messages. Where some roles name their states, those that name none follow
another protocol, and are left out. A step of a machine is:

    a choice      a transition without a message as its event, or the end of the longest stay; it may send messages
    a reception   a transition on the first message of a queue that its state can take, or on `message`
    reading       of a message that no transition of the role is on; it changes nothing
    sending       of a type that no transition sends, in the states that may send it, if nothing of its sender waits

Guards and fields are left out, so every choice is possible: what is found may need agents that choose so, and a wait
that only a guard causes is not seen. Three things are looked for, each as a claim that a checker refutes with a trace:

    W-DEADLOCK     nothing can happen, no message is under way, and a machine is in no state that is final or idle
    W-UNSPECIFIED  nothing can happen, and a message waits for a machine in a state that does not take it
    W-ORPHAN       a message waits for a machine that has come to a final state
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from engines.model import Map, Value
from engines.model.transition_system import PlainStep, TransitionSystem

from .decide_choice import leaves, permits
from .findings import Finding, found
from .model import ANY, SELF, MessageType, Place, Protocol, Role, Transition
from .parse import parse

QUEUE_MAX: Final = 2
STATES_MAX: Final = 200_000
SECONDS_MAX: Final = 5.0
CLAIMS: Final = ("W-DEADLOCK", "W-UNSPECIFIED", "W-ORPHAN")
MESSAGE: Final = "message"


class Joint(Value):
    """Where all machines are, and the messages on their way, by `sender>receiver`."""

    at: Map[str, str]
    queues: Map[str, tuple[str, ...]] = Map()


class Explored(NamedTuple):
    """What was found, in how many configurations, and whether those were all; `is_bounded`: a queue was full."""

    findings: tuple[Finding, ...] = ()
    configurations: int = 0
    is_whole: bool = True
    is_bounded: bool = False


class Roles:
    """The machines of a protocol's roles. `is_bounded` becomes true where a queue was full."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.types = {one.id: one for one in protocol.messages}
        self.machines: dict[str, Role] = {}
        has_shares = any(role.states for role in protocol.roles)
        for role in protocol.roles:
            if role.states or not has_shares:
                self.machines |= dict.fromkeys(self._names(role), role)
        self.sent = {sending.message for one in protocol.transitions for sending in one.sends}
        self.events = {role.id: {one.event for one in self._edges(role)} for role in protocol.roles}
        self.is_bounded = False

    @property
    def is_of_interest(self) -> bool:
        """Whether there are two machines, and a message between them."""
        return len(self.machines) > 1 and bool(self.types) and bool(self.protocol.states)

    def _names(self, role: Role) -> tuple[str, ...]:
        writes_to_itself = any((one.sender, one.receiver) == (role.id, role.id) for one in self.protocol.messages)
        return (f"{role.id}/1", f"{role.id}/2") if writes_to_itself else (role.id,)

    def _edges(self, role: Role) -> list[Transition]:
        return [one for one in self.protocol.transitions if any(leaves(one, state) for state in self.states_of(role))]

    def states_of(self, role: Role) -> tuple[str, ...]:
        """The states that agents of a role may be in."""
        return role.states or tuple(one.id for one in self.protocol.states)

    @property
    def initial(self) -> Joint:
        """All at their first state: the initial one, or else the first that the role may be in."""
        first = self.protocol.initial
        return Joint(
            Map(
                (name, first if first in self.states_of(role) else self.states_of(role)[0])
                for name, role in self.machines.items()
            )
        )

    def steps(self, joint: Joint) -> Iterator[PlainStep[Joint]]:
        """Everything that can happen."""
        for name, role in self.machines.items():
            state = joint.at[name]
            for edge in self.protocol.transitions:
                if leaves(edge, state) and edge.actors != ("admin",):
                    yield from self._edge(joint, name, role, edge)
            defined = self.protocol.state(state)
            if defined is not None and defined.timeout is not None:
                yield PlainStep(
                    f"{name}: {state} → {defined.timeout.target}, its time is over",
                    self._moved(joint, name, defined.timeout.target),
                )
            yield from self._reading(joint, name, role)
            yield from self._sending(joint, name, role)

    def _edge(self, joint: Joint, name: str, role: Role, edge: Transition) -> Iterator[PlainStep[Joint]]:
        state = joint.at[name]
        target = state if edge.target == SELF else edge.target
        if target not in self.states_of(role):
            return
        label = f"{name}: {state} → {target}"
        if edge.event != MESSAGE and edge.event not in self.types:
            yield from self._sent_along(self._moved(joint, name, target), name, edge, label)
            return
        for queue in joint.queues:
            sender, _, receiver = queue.partition(">")
            message = self._next(joint, name, role, queue) if receiver == name else ""
            if message and edge.event in (message, MESSAGE):
                after = self._moved(_without(joint, queue, message), name, target)
                yield from self._sent_along(after, name, edge, f"{label} on {message} from {sender}")

    def _next(self, joint: Joint, name: str, role: Role, queue: str) -> str:
        """The first message of a queue that the machine can take in its state, by a transition or by reading; or ""."""
        state = joint.at[name]
        events = {one.event for one in self.protocol.transitions if leaves(one, state)}
        for message in joint.queues[queue]:
            is_wanted = message in events or MESSAGE in events or not self._moves_on(role, message)
            if is_wanted and self._takes(state, message):
                return message
        return ""

    def _sent_along(self, joint: Joint, name: str, edge: Transition, label: str) -> Iterator[PlainStep[Joint]]:
        """The steps of a transition with the messages that it sends, to whichever machines of the role."""
        results = [(joint, label)]
        for sending in edge.sends:
            following = []
            for one, text in results:
                for target in self._receivers(name, sending.to):
                    put = self._put(one, name, target, sending.message)
                    if put is not None:
                        following.append((put, f"{text}; sends {sending.message} to {target}"))
            results = following if self._receivers(name, sending.to) else results
        yield from (PlainStep(text, one) for one, text in results)

    def _receivers(self, sender: str, role: str) -> list[str]:
        return [name for name, one in self.machines.items() if role in (one.id, ANY) and name != sender]

    def _put(self, joint: Joint, sender: str, receiver: str, message: str) -> Joint | None:
        queue = f"{sender}>{receiver}"
        waiting = joint.queues.get(queue, ())
        if len(waiting) >= QUEUE_MAX:
            self.is_bounded = True
            return None
        return replace(joint, queues=joint.queues.set(queue, (*waiting, message)))

    def _moved(self, joint: Joint, name: str, target: str) -> Joint:
        return replace(joint, at=joint.at.set(name, target))

    def _takes(self, state: str, message: str) -> bool:
        """Whether a state takes messages of a type."""
        declared = self.types.get(message)
        defined = self.protocol.state(state)
        is_named = declared is None or not declared.when_receiver or state in declared.when_receiver
        return is_named and (defined is None or permits(defined, "receive", message))

    def _reading(self, joint: Joint, name: str, role: Role) -> Iterator[PlainStep[Joint]]:
        """A message that moves nobody is read, or goes back, where its type says so."""
        state = joint.at[name]
        for queue, waiting in joint.queues.items():
            if queue.partition(">")[2] != name:
                continue
            message = self._next(joint, name, role, queue)
            if message and not self._moves_on(role, message) and not self.is_final(state):
                yield PlainStep(f"{name}: reads {message}", _without(joint, queue, message))
            for message in dict.fromkeys(waiting):
                declared = self.types.get(message)
                if not self._takes(state, message) and declared is not None and declared.otherwise == "bounce":
                    yield PlainStep(f"{name}: {message} goes back", _without(joint, queue, message))

    def _moves_on(self, role: Role, message: str) -> bool:
        """Whether a transition of the role is on this type of message."""
        return message in self.events[role.id]

    def _sending(self, joint: Joint, name: str, role: Role) -> Iterator[PlainStep[Joint]]:
        """A message that no transition sends is sent where it may be, one at a time."""
        state = joint.at[name]
        for message in self.types.values():
            if message.id in self.sent or message.sender not in (role.id, ANY) or not self._may_send(state, message):
                continue
            for target in self._receivers(name, message.receiver):
                if not joint.queues.get(f"{name}>{target}"):
                    put = self._put(joint, name, target, message.id)
                    if put is not None:
                        yield PlainStep(f"{name}: sends {message.id} to {target}", put)

    def _may_send(self, state: str, message: MessageType) -> bool:
        defined = self.protocol.state(state)
        is_named = not message.when_sender or state in message.when_sender
        return is_named and not self.is_final(state) and (defined is None or permits(defined, "send", message.id))

    # --- claims -------------------------------------------------------------------------------------------------------

    def is_final(self, state: str) -> bool:
        """Whether a state is an end."""
        defined = self.protocol.state(state)
        return defined is not None and "final" in defined.flags

    def is_rest(self, state: str) -> bool:
        """Whether an agent may stay in a state for ever; dead ends are found by another rule."""
        defined = self.protocol.state(state)
        has_exit = any(leaves(one, state) for one in self.protocol.transitions)
        return defined is None or "final" in defined.flags or "idle" in defined.flags or not has_exit

    def waiting(self, joint: Joint) -> list[tuple[str, str, str]]:
        """The messages on their way, with the machine that they are for and its state."""
        found = []
        for queue, messages in joint.queues.items():
            receiver = queue.partition(">")[2]
            found += [(message, receiver, joint.at[receiver]) for message in messages]
        return found

    def is_stuck(self, joint: Joint) -> bool:
        """Whether nothing can happen."""
        return next(self.steps(joint), None) is None

    def no_deadlock(self, joint: Joint) -> bool:
        """The claim against W-DEADLOCK."""
        is_at_rest = all(self.is_rest(state) for state in joint.at.values())
        return is_at_rest or bool(self.waiting(joint)) or not self.is_stuck(joint)

    def no_unspecified(self, joint: Joint) -> bool:
        """The claim against W-UNSPECIFIED."""
        is_waited_for = any(not self.is_final(state) for _, _, state in self.waiting(joint))
        return not is_waited_for or not self.is_stuck(joint)

    def no_orphan(self, joint: Joint) -> bool:
        """The claim against W-ORPHAN."""
        return not any(self.is_final(state) for _, _, state in self.waiting(joint))

    def told(self, code: str, joint: Joint) -> str:
        """What is wrong in a state that refutes a claim."""
        places = ", ".join(f"{name} in '{state}'" for name, state in joint.at.items())
        if code == "W-DEADLOCK":
            return f"nothing can happen any more, and nobody has sent a message: {places}"
        is_orphan = code == "W-ORPHAN"
        message, receiver, state = next(one for one in self.waiting(joint) if self.is_final(one[2]) == is_orphan)
        if is_orphan:
            return f"'{message}' is sent to {receiver}, which is in '{state}', a final state"
        return f"'{message}' waits for {receiver}, which is in '{state}' and never takes it"


def _without(joint: Joint, queue: str, message: str) -> Joint:
    waiting = list(joint.queues[queue])
    waiting.remove(message)
    queues = joint.queues.set(queue, tuple(waiting)) if waiting else joint.queues.without(queue)
    return replace(joint, queues=queues)


def system_of(roles: Roles, code: str) -> TransitionSystem[Joint]:
    """The roles together, with the claim against one finding."""
    claims = {
        "W-DEADLOCK": roles.no_deadlock,
        "W-UNSPECIFIED": roles.no_unspecified,
        "W-ORPHAN": roles.no_orphan,
    }
    return TransitionSystem(name="roles", initial=roles.initial, steps=roles.steps, always=[claims[code]])


def SYSTEM(source: str = "", code: str = "W-DEADLOCK") -> TransitionSystem[Joint]:
    """The roles of a protocol in markdown together, as one system for the checker."""
    return system_of(Roles(parse(source).protocol), code)


def finding_of(roles: Roles, code: str, joint: Joint, way: Sequence[str]) -> Finding:
    """A refuted claim as a finding, at the first type of message that is concerned, with its trace as the hint."""
    concerned = [message for message, _, _ in roles.waiting(joint)]
    places = [one.place for one in roles.protocol.messages if one.id in concerned]
    place = places[0] if places else (roles.protocol.roles[0].place if roles.protocol.roles else Place())
    return found(code, place, roles.told(code, joint), f"it comes so: {'; '.join(way) or 'at the beginning'}")
