"""An engine that asks its user, for tests of suspended engines."""

from __future__ import annotations

from engines.model import Arrived, Choose, Effects, Family, Interaction, Message, Value, interactive_rule, rule


class Question(Message):
    """Ask, and write the answer down."""


class Word(Message):
    """Write a word down."""

    word: str


class Words(Value):
    words: tuple[str, ...] = ()


@interactive_rule
def ask(message: Question, t: Arrived[Question, None, Words]) -> Interaction[Words, None]:
    said = yield Choose(("yes", "no"))
    return Words((*t.env.state.words, said))


@rule
def write(message: Word, t: Arrived[Word, None, Words]) -> Effects[Words, None]:
    return Words((*t.env.state.words, message.word))


ASKER = Family("asker", accepts=Question | Word, state=Words()).rules(ask, write)
