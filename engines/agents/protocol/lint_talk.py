"""Rules about messages between roles, about texts for people, and about what is never used."""

from __future__ import annotations

import re
from typing import Final

from .lint_names import effects
from .model import ANY, MessageType, Protocol
from .subject import RESERVED_MESSAGES, Subject

MODAL: Final = re.compile(r"\b(MUST|SHALL|REQUIRED|never|Never|NEVER|only if)\b")


def check_talk(subject: Subject) -> None:
    """Add the findings about roles, replies, where fields come from, texts, and what is unused."""
    _message_roles(subject)
    _replies(subject)
    _sends(subject)
    _causality(subject)
    _texts(subject)
    _unused(subject)


def _message_roles(subject: Subject) -> None:
    for message in subject.whole.messages:
        for role, is_receiver in ((message.sender, False), (message.receiver, True)):
            if role not in subject.roles and not (role == ANY and is_receiver):
                place = subject.locate(message.place, role, after_arrow=is_receiver)
                text = f"message '{message.id}' is between roles, and there is no role '{role}'"
                subject.add("E-MSG-ROLE", place, text, f"add '- {role}: ...' to Roles", length=len(role))


def _replies(subject: Subject) -> None:
    types = {one.id: one for one in subject.whole.messages}
    for message in subject.whole.messages:
        for name in message.replies:
            reply = types.get(name)
            if reply is not None and not _goes_back(reply, message):
                text = f"'{name}' is no reply to '{message.id}': it goes from {reply.sender} to {reply.receiver}"
                hint = f"a reply goes from {message.receiver} to {message.sender}"
                subject.add("E-REPLY", subject.locate(message.place, name), text, hint, length=len(name))
        if message.receiver == ANY and message.replies:
            text = f"'{message.id}' goes to everybody, and each of them may reply"
            hint = "remove 'reply', or send it to one role"
            subject.add("W-REPLY-STORM", message.place, text, hint, length=len(message.id))


def _goes_back(reply: MessageType, message: MessageType) -> bool:
    return message.receiver in (reply.sender, ANY) and reply.receiver in (message.sender, ANY)


def _sends(subject: Subject) -> None:
    types = {one.id: one for one in subject.whole.messages}
    for transition in subject.whole.transitions:
        for one in transition.sends:
            message = types.get(one.message)
            if message is not None and message.receiver not in (one.to, ANY) and one.to in subject.roles:
                text = f"message '{one.message}' goes to {message.receiver}, not to {one.to}"
                subject.add("E-MSG-ROLE", one.place, text, f"write '{one.message} to {message.receiver}'")


def _causality(subject: Subject) -> None:
    """Where a sender knows a field from that it does not choose; and two senders that choose the same one."""
    whole = subject.whole
    known = {one.name for one in whole.context}
    binds: dict[str, MessageType] = {}
    for message in whole.messages:
        for field in message.fields:
            if "in" in field.marks and field.name not in known and not _is_known(whole, message, field.name):
                place = subject.locate(field.place, field.name)
                text = (
                    f"the sender of '{message.id}' cannot know '{field.name}': no message and no context has it before"
                )
                hint = "mark it 'out' in an earlier message between the roles, or add it to Context"
                subject.add("E-CAUSAL", place, text, hint, length=len(field.name))
            if "out" in field.marks:
                other = binds.setdefault(field.name, message)
                if other.sender != message.sender:
                    text = f"'{field.name}' is chosen in '{message.id}' and, by another role, in '{other.id}'"
                    place = subject.locate(field.place, field.name)
                    subject.add("E-CAUSAL", place, text, "mark it 'in' in one of them", length=len(field.name))


def _is_known(whole: Protocol, message: MessageType, name: str) -> bool:
    """Whether another message brings the field to the sender, or takes it from there."""
    return any(
        other is not message
        and message.sender in (other.sender, other.receiver)
        and any(field.name == name and "in" not in field.marks for field in other.fields)
        for other in whole.messages
    )


def _texts(subject: Subject) -> None:
    for one in subject.whole.transitions:
        is_bound = one.guard is not None or bool(one.requires)
        by_agent = not one.actors or "agent" in one.actors
        modal = MODAL.search(one.text)
        if modal and not is_bound:
            text = f"the text says '{modal[1]}', and nothing holds agents to it"
            hint = "add '  - guard: `...`' below it; text is shown to agents, only a guard binds"
            place = subject.locate(one.place, modal[1])
            subject.add("W-PROSE-MODAL", place, text, hint, length=len(modal[1]))
        if by_agent and not one.text and not is_bound and not one.event:
            text = f"nothing says when to go to '{one.target}'"
            subject.add("W-NO-CONDITION", one.place, text, "add ': When ...' after it, or a guard")


def _unused(subject: Subject) -> None:
    _unused_roles(subject)
    _unused_fields(subject)
    _unused_messages(subject)


def _unused_roles(subject: Subject) -> None:
    whole = subject.whole
    texts = _guard_texts(whole)
    named = {role for message in whole.messages for role in (message.sender, message.receiver)}
    named |= {effect.argument.rpartition(" ")[2] for effect in effects(subject)}
    for role in whole.roles:
        is_named = role.id in named or role.states or role.may or any(f"({role.id}" in text for text in texts)
        if whole.messages and ANY not in named and not is_named:
            subject.add("W-UNUSED", role.place, f"no message is from or to role '{role.id}'", "", length=len(role.id))


def _guard_texts(whole: Protocol) -> list[str]:
    guards = [one.guard for one in whole.transitions] + [one.guard for one in whole.migrations]
    texts = [one.text for one in (*guards, *(one.guard for one in whole.invariants)) if one is not None]
    return texts + [setting.expression for one in whole.transitions for setting in one.sets]


def _unused_fields(subject: Subject) -> None:
    whole = subject.whole
    text = " ".join(_guard_texts(whole)) + " "
    named = {setting.field for one in whole.transitions for setting in one.sets}
    named |= {mapping.new for one in whole.migrations for mapping in one.context}
    named |= {field.name for message in whole.messages for field in message.fields if "in" in field.marks}
    for field in whole.context:
        if field.name not in named and not re.search(rf"context\.{re.escape(field.name)}(?![\w-])", text):
            message = f"no guard, assignment or invariant uses field '{field.name}'"
            subject.add("W-UNUSED", field.place, message, "", length=len(field.name))


def _unused_messages(subject: Subject) -> None:
    """Types that no state lets its agents send, and that the engine does not send for them."""
    whole = subject.whole
    sent = {one.message for each in whole.transitions for one in each.sends} | set(RESERVED_MESSAGES)
    sent |= {effect.argument.partition(" ")[0] for effect in effects(subject) if effect.kind == "send"}
    for message in whole.messages:
        may = any(_may_send(subject, state, message) for state in subject.states) or not subject.states
        if message.id not in sent and not may:
            text = f"no state lets its agents send '{message.id}'"
            hint = f"add it to 'allow: send({message.id})' of a state, or remove it"
            subject.add("W-UNUSED", message.place, text, hint, length=len(message.id))


def _may_send(subject: Subject, name: str, message: MessageType) -> bool:
    state = subject.states[name]
    role = next((one for one in subject.whole.roles if one.id == message.sender), None)
    if (role is not None and role.states and name not in role.states) or "final" in state.flags:
        return False
    if message.when_sender and name not in message.when_sender:
        return False
    if any(one.kind == "send" and (not one.of or message.id in one.of) for one in state.deny):
        return False
    return state.allow is None or any(
        one.kind == "send" and (not one.of or message.id in one.of) for one in state.allow
    )
