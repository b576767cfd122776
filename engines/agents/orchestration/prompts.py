"""Prompts: their text, and their form on the standard input of an agent.

| mode | form |
|---|---|
| `line` | one line; line breaks become ` ⏎ ` |
| `block` | the text, then a line `%%` |
| `stream-json` | a JSON object in one line, a message of the user |
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from engines.agents.orchestration.launching import PromptMode

from .record import Life, Reason, Waiting

FOLD: Final = " ⏎ "
END: Final = "%%"
TEXT_MAX: Final = 32 << 10

WHY: Final[dict[Reason, str]] = {
    "start": "You have been started.",
    "state": "Your state has changed.",
    "message": "Messages wait for you: `aism message read`.",
    "reminder": "This is a reminder.",
    "migrated": "Your protocol has changed.",
    "handover": "Your session ends soon; hand over.",
    "person": "A person writes to you.",
    "alarm": "The engine has noticed something.",
}


def waits(prompts: tuple[Waiting, ...], reason: Reason) -> bool:
    """Whether a prompt waits that stands for any with this reason; no words of a person stand for others."""
    return reason != "person" and any(each.reason == reason for each in prompts)


def wanted(prompts: tuple[Waiting, ...], reason: Reason, text: str) -> tuple[Waiting, ...]:
    """The prompts that wait, with one more. One that stands for it is replaced, so there are never many."""
    if waits(prompts, reason):
        return tuple(Waiting(reason, text) if each.reason == reason else each for each in prompts)
    return (*prompts, Waiting(reason, text))


def standard(agent: str, life: Life, reason: Reason, text: str, moves: str) -> str:
    """The whole prompt: who, where, why, what waits, what is possible, and how to get help."""
    lines = []
    if life.where is not None:
        where = life.where
        lines.append(f"You are agent {agent} in state '{where.state}'. Follow the {where.protocol} protocol.")
        lines.append(f"Protocol: {where.protocol} {where.version}, file .aism/{where.protocol}.md")
    else:
        lines.append(f"You are agent {agent}.")
    lines.append(f"Why: {WHY[reason]}")
    lines += [text] if text else []
    if life.where is not None and life.where.prompt and reason in ("start", "state"):
        lines.append(life.where.prompt)
    lines += [f"Unread messages: {life.unread}"] if reason != "message" else []
    lines += [f"Possible moves: {moves}"] if moves else []
    if life.context.percent is not None:
        lines.append(f"Context: {life.context.percent:.0f} % used")
    if life.handover is not None and reason == "start":
        lines.append(f"Hand-over of your last session: {life.handover.path}")
    lines.append("Report with `aism state transition <state>`; `aism state can` lists moves, `aism help` the rest.")
    return _bounded("\n".join(lines))


def framed(mode: PromptMode, number: int, text: str) -> str:
    """The text as it goes into the pipe."""
    clean = "".join(c for c in text.replace("\r\n", "\n").replace("\r", "\n") if c >= " " or c in "\n\t")
    match mode:
        case "line":
            return clean.strip("\n").replace("\n", FOLD) + "\n"
        case "block":
            body = "\n".join(f" {line}" if line == END else line for line in clean.split("\n"))
            return f"{body}\n{END}\n"
        case "stream-json":
            content = [{"type": "text", "text": clean}]
            whole = {"type": "user", "prompt": number, "message": {"role": "user", "content": content}}
            return msgspec.json.encode(whole).decode() + "\n"
    assert_never(mode)


def _bounded(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[:TEXT_MAX] + "\n(cut off)"


def mechanical_handover(agent: str, life: Life) -> str:
    """What the engine hands over for an agent that does not: what is known here."""
    where = life.where
    lines = [
        "# Hand-over, written by the engine",
        "",
        f"The last session of {agent} (number {life.session}) ended without a hand-over of its own.",
        "",
        f"- state: {where.state if where else 'unknown'}",
        f"- protocol: {f'{where.protocol} {where.version}' if where else life.protocol}",
        f"- last moves: {' → '.join(life.moves) or 'none'}",
        f"- unread messages: {life.unread}",
        f"- messages not yet answered: {', '.join(life.unanswered) or 'none'}",
        "",
        "Read your workspace and `aism state current` to find out what else there is.",
    ]
    return "\n".join(lines) + "\n"
