"""The parts of states as numbers: local states, messages, extras; each content once, with its fingerprint.

A fingerprint is 64 bits of a digest of the content. It is the same in every process and under every hash seed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from engines.model import Declaration, Family, encode, load_family
from engines.model.blame import blame
from engines.model.system import Envelope, System
from engines.model.system_view import EngineView, engine_view
from host.check.local import AnyFamily, CheckError, LocalState
from host.check.network import fingerprint
from host.check.rename import typed


class Extra(NamedTuple):
    """What a state has beside engines and network: the history, and how many node faults may still happen."""

    history: Any
    faults_left: int


class Parts:
    """All parts met so far, by number."""

    def __init__(self, system: System) -> None:
        self.locals: list[LocalState] = []
        self.local_prints: list[int] = []
        self.views: list[EngineView] = []
        """The local states as properties see them."""
        self.messages: list[Envelope] = []
        self.message_prints: list[int] = []
        self.flows: list[int] = []
        """By message: the number of its sender, target and mailbox."""
        self.extras: list[Extra] = []
        self.extra_prints: list[int] = []
        self._system = system
        self._numbers: dict[Any, int] = {}
        self._flow_numbers: dict[tuple[str, str, int], int] = {}
        self._recorded: dict[tuple[int, int, bool], int] = {}
        self._families: dict[AnyFamily, str] = {}
        self._types: dict[tuple[str, str], type[Any]] = {}
        for member in system.members:
            self._know(member.family)

    def local(self, local: LocalState) -> int:
        """The number of a local state."""
        content = self._content(local)
        number = self._numbers.get(content)
        if number is None:
            number = self._numbers[content] = len(self.locals)
            self.locals.append(local)
            self.views.append(engine_view(local.configuration, local.family, local.env, local.status, local.clock_ns))
            self.local_prints.append(fingerprint(content))
        return number

    def message(self, envelope: Envelope) -> int:
        """The number of a message."""
        kind = type(envelope.message)
        flow = (envelope.sender, envelope.target, envelope.mailbox)
        content = encode(("message", flow, kind.__module__, kind.__qualname__, envelope.message))
        number = self._numbers.get(content)
        if number is None:
            number = self._numbers[content] = len(self.messages)
            self.messages.append(envelope)
            self.message_prints.append(fingerprint(content))
            self.flows.append(self._flow_numbers.setdefault(flow, len(self._flow_numbers)))
        return number

    def extra(self, extra: Extra) -> int:
        """The number of an extra."""
        content = encode(("extra", typed(extra.history), extra.faults_left))
        number = self._numbers.get(content)
        if number is None:
            number = self._numbers[content] = len(self.extras)
            self.extras.append(extra)
            self.extra_prints.append(fingerprint(content))
        return number

    def recorded(self, extra: int, message: int, is_sent: bool) -> int:
        """The extra after a message was sent, or delivered."""
        record = self._system.record
        if record is None:
            return extra
        key = (extra, message, is_sent)
        number = self._recorded.get(key)
        if number is None:
            before = self.extras[extra]
            try:
                history = record(before.history, self.messages[message], is_sent)
            except Exception as error:
                raise CheckError(f"record of {self._system.name} raised {blame(error)[0]}\n{blame(error)[1]}") from None
            number = self._recorded[key] = self.extra(Extra(history, before.faults_left))
        return number

    def family_key(self, family: AnyFamily) -> str:
        """The name of a family within this check, the same in every process; that of a later version differs."""
        return self._families.get(family) or family.ref or family.name

    def family(self, key: str) -> AnyFamily:
        """The family of a name; one that only its reference is known of is loaded."""
        for family, known in self._families.items():
            if known == key:
                return family
        loaded = load_family(key)
        assert isinstance(loaded, Family)
        return loaded

    def message_type(self, kind: tuple[str, str]) -> type[Any]:
        """The message type of a module and name, among those that the families accept or emit."""
        found = self._types.get(kind)
        if found is None:
            raise CheckError(f"{kind[0]}.{kind[1]} is a message of a family named by reference only: use one worker")
        return found

    def _know(self, family: Declaration[Any, Any, Any] | str | None) -> None:
        """Number a family and those it spawns or is followed by, in the same order in every process."""
        if not isinstance(family, Family) or family in self._families:
            return
        self._families[family] = f"{len(self._families)} {family.name}"
        for kind in (*family.accepts_types, *family.emits_types):
            self._types[kind.__module__, kind.__qualname__] = kind
        for child in (*family.spawns, self._system.reloads.get(family)):
            self._know(child)

    def _content(self, local: LocalState) -> bytes:
        """Equal for equal local states, whatever the process and its hash seed."""
        configuration, cause, waiting = local.configuration, local.cause, None
        if cause is not None:
            waiting = (type(cause).__name__, cause, local.at_ns, local.answers)
        head = (configuration.name, configuration.birth, configuration.params, local.clock_ns, local.status, waiting)
        return encode((head, local.first, self.family_key(local.family), local.family.dump(local.env)))
