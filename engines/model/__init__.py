"""The engine model: what an engine is, and `step`, the one definition of a transition. Pure.

Tools that only tests and checks need are imported from their own modules: `overlap`, `determinism`.
"""

from .ask import Answered, Ask, Asking, Overdue
from .birth import BirthError, birth, birth_values
from .blob import Blob
from .box import Box, Mailbox, StoredMessage
from .check.definition import DefinitionError, Problem, unchecked
from .check.immutable import owned
from .compose import compose
from .conform import conform
from .conform_leaves import ConformError
from .declaration import Declaration
from .device import Device, DeviceHost, Driver
from .effects import (
    Become,
    CancelTimer,
    Consume,
    Effect,
    EffectError,
    Effects,
    Forget,
    Note,
    Put,
    SetTimer,
    Spawn,
    Stop,
    Store,
)
from .environment import Environment, Handle, Numbered, Pending, Timer, due_timers, next_deadline
from .family import Family
from .interaction import Answer, AnswerError, Choose, Interaction, Question, Roll
from .large import blob_places, in_parts
from .map import Map
from .mismatch import Handled, Mismatch
from .names import is_descendant, parent_name, parse_address
from .outcome import (
    Committed,
    Failed,
    Noted,
    Outcome,
    Outgoing,
    Output,
    Overflow,
    Refused,
    Spawned,
    Stopped,
    Stored,
    Suspended,
)
from .ref import Ref, RefTo
from .rule import InteractiveRule, Rule, interactive_rule, rule
from .sending import Send, Sent
from .step import arrive, raised, step
from .store.adopt import AdoptError
from .store.interface import compatible, interface_of
from .store.load import LoadError, compile_ahead, load_family, use_roots
from .store.schema import json_schema
from .trigger import Arrived, Configuration, Delivery, Due, Elapsed, Identity
from .values import Config, Message, Value, convert, encode
from .view import view

__all__ = [
    "AdoptError", "Answer", "AnswerError", "Answered", "Arrived", "Ask", "Asking", "Become", "BirthError", "Blob",
    "Box", "CancelTimer", "Choose", "Committed", "Config", "Configuration", "ConformError", "Consume",
    "Declaration", "DefinitionError", "Delivery", "Device", "DeviceHost", "Driver", "Due", "Effect", "EffectError",
    "Effects", "Elapsed", "Environment", "Failed", "Family", "Forget", "Handle", "Handled", "Identity",
    "Interaction", "InteractiveRule", "LoadError", "Mailbox", "Map", "Message", "Mismatch", "Note", "Noted",
    "Numbered", "Outcome", "Outgoing", "Output", "Overdue", "Overflow", "Pending", "Problem", "Put", "Question",
    "Ref", "RefTo", "Refused", "Roll", "Rule", "Send", "Sent", "SetTimer", "Spawn", "Spawned", "Stop", "Stopped",
    "Store", "Stored", "StoredMessage", "Suspended", "Timer", "Value", "arrive", "birth", "birth_values",
    "blob_places", "compatible", "compile_ahead", "compose", "conform", "convert", "due_timers", "encode",
    "in_parts", "interactive_rule", "interface_of", "is_descendant", "json_schema", "load_family", "next_deadline",
    "owned", "parent_name", "parse_address", "raised", "rule", "step", "unchecked", "use_roots", "view",
]  # fmt: skip
