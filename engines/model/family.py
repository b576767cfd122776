"""Engine families: a behaviour with its types, named and versioned. The last statement of a family's module.

`Family(...)` fixes the types, `.rules(...)` completes the family: the rules are checked against the types, all mistakes
are reported at once, and the dispatch tables of `step` are made. In a single call the type checker would silently widen
the types to fit the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Generic, Self

from .blob import Blob
from .box import Box
from .check.definition import check_family
from .check.immutable import mentions
from .conform import conform
from .declaration import Declaration
from .effects import Effects
from .environment import Environment, Timer
from .family_types import FamilyTypes, Strategy
from .forms import classes
from .law import Law, OldRules
from .mismatch import Mismatch
from .place import caller
from .plan import Plan, plan_messages, plan_timers
from .rule import Rule
from .store.adopt import Adoption, Downgraded, downgraded
from .store.dump import dump_environment, load_environment
from .store.interface import interface_of

if TYPE_CHECKING:
    from typing import Never

    from typing_extensions import TypeForm, TypeVar

    A_co = TypeVar("A_co", covariant=True)
    C = TypeVar("C", default=None)
    S = TypeVar("S", default=None)
    E = TypeVar("E", default=Never)
else:
    from typing import TypeVar

    A_co, C, S, E = TypeVar("A_co"), TypeVar("C"), TypeVar("S"), TypeVar("E")


class Family(FamilyTypes[A_co, C, S, E], Generic[A_co, C, S, E]):
    """A behaviour for messages A, with parameters C, state S, and emitted messages E.

    Args:
        name: its name for people.
        accepts, emits: messages in and out, as unions.
        config: the class of its parameters.
        state: the initial state of an engine; not a tuple or a list, since an action may return a bare state.
        states: the type of the state when that is wider than the start value's class: a union, or a `Map[K, V]`.
        boxes: mailboxes other than a plain mailbox 0.
        timers: every timer its rules set or take.
        strategy: which rules run when several hold.
        strict: it learns acquaintances and may send only to them.
        spawns: the families (or references) of its children; its own needs no mention.
        migrate: an older version's state, as builtins, to a state of this one.
        downgrade: a state of this version to one of the version before, as builtins or as a value of that shape.
        invariants: what holds of every state, a function each; a transition that breaks one fails.
        intended: whether a difference to the version before, found in a rehearsal of a reload, is intended.
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            name: str,
            *,
            accepts: TypeForm[A_co],
            emits: TypeForm[E] = ...,
            config: type[C] = ...,
            state: S = ...,
            states: TypeForm[S] = ...,
            boxes: Sequence[Box[Any, Any]] = (),
            timers: Sequence[Timer] = (),
            strategy: Strategy = "first",
            strict: bool = False,
            spawns: Sequence[Declaration[Any, Any, Any] | str] = (),
            migrate: Callable[[Any], S] | None = None,
            downgrade: Callable[[S], Any] | None = None,
            invariants: Sequence[Callable[[S], bool]] = (),
            intended: Callable[[Mismatch], bool] | None = None,
        ) -> None: ...

    else:

        def __init__(
            self,
            name: str,
            *,
            accepts: Any,
            emits: Any = None,
            config: Any = None,
            state: Any = None,
            states: Any = None,
            boxes: Any = (),
            timers: Any = (),
            strategy: str = "first",
            strict: bool = False,
            spawns: Any = (),
            migrate: Any = None,
            downgrade: Any = None,
            invariants: Any = (),
            intended: Any = None,
        ) -> None:
            self._declare(name, config, accepts, emits, boxes, caller(1))
            self.state = state
            self.states = type(state) if states is None else states
            self.state_types = classes(self.states)
            self.timers = tuple(timers)
            self.strategy = strategy
            self.strict = strict
            self.spawns = tuple(spawns)
            self.migrate = migrate
            self.downgrade = downgrade
            self.invariants = tuple(invariants)
            self.intended = intended
            self.law = OldRules(self.emits_types)
            self.holds_blobs = False
            self.rule_list = ()
            self.plan = {}
            self.timer_plan = ()

    law: Law | OldRules
    rule_list: tuple[Rule[Any, Any, Any, Any], ...]
    plan: Mapping[type[Any], Plan]
    timer_plan: tuple[Rule[Any, Any, Any, Any], ...]
    _adoption: Adoption[S] | None = None
    """For the earlier interface that was met last: engines of one version come one after another."""

    def rules(self, *rules: Rule[A_co, C, S, Effects[S, E]]) -> Self:
        """Complete the family with its rules, in order.

        Raises:
            DefinitionError: with every mistake in the family, each with file and line.
        """
        self.rule_list = rules
        self._interface = None
        check_family(self, rules)
        held = [self.states, *(box.states for box in self.boxes.values()), *self.accepts_types]
        self.holds_blobs = any(mentions(form, Blob) for form in held)
        self.state = conform(self.state, self.states)
        self.law = Law(self)
        self.plan = plan_messages(self, rules)
        self.timer_plan = plan_timers(rules)
        return self

    def bounded(self, stored_max: Mapping[int, int]) -> Self:
        """The same family with other bounds of stored messages, by mailbox number; it keeps its reference and version.

        Raises KeyError for a mailbox it does not declare.
        """
        boxes = {number: self.boxes[number].bounded(bound) for number, bound in stored_max.items()}
        twin = copy(self)
        twin.boxes = self.boxes | boxes
        twin.loaded(self.ref, self.version, self.files)
        return twin

    def under_old_rules(self) -> Self:
        """The same family without the value law, for turns of a journal from before there was one."""
        twin = copy(self)
        twin.loaded(self.ref, self.version, self.files)
        twin.law = OldRules(self.emits_types)
        return twin

    def dump(self, env: Environment[S]) -> bytes:
        """An environment as MessagePack; equal environments have equal bytes."""
        return dump_environment(env)

    def load(self, dump: bytes) -> Environment[S]:
        """The environment of a dump that this very family made. Raises msgspec.ValidationError."""
        return load_environment(self, dump)

    def adopt(self, dump: bytes, old_interface: dict[str, Any], downgraded: Downgraded = b"") -> Environment[S]:
        """The environment, for this version, of a dump by another version. Raises AdoptError, with every reason found.

        `downgraded` is the state as the other version's `downgrade` hands it back (`Family.downgraded`).
        """
        adoption = self._adoption
        if adoption is None or (adoption.old is not old_interface and adoption.old != old_interface):
            adoption = self._adoption = Adoption(self, self.interface(), old_interface)
        return adoption.environment(dump, downgraded)

    def downgraded(self, state: S) -> Downgraded:
        """A state as the version before has it, encoded; b"" without a `downgrade`."""
        return b"" if self.downgrade is None else downgraded(self.downgrade, state)

    @property
    def adopted(self) -> str:
        """How `adopt` took states over last: "as it is", "converted", "migrated"; "" if it was not called."""
        return "" if self._adoption is None else self._adoption.how

    @property
    def forward_only(self) -> str:
        """Why no state that `adopt` took over could be handed back to the earlier version; "" if each could."""
        return "" if self._adoption is None else self._adoption.forward_only

    def interface(self) -> dict[str, Any]:
        """The outside of the family as plain data, made once and never changed by callers; see `interface`."""
        if self._interface is None:
            self._interface = interface_of(self)
        return self._interface
