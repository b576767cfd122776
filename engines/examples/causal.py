"""A causal mailbox: a post is delivered once all posts it needs were delivered, in whatever order they come.

A post that cannot be delivered yet is taken by no rule, so it stays in the mailbox. Each delivery releases all stored
posts that it makes deliverable, and those that these make deliverable in turn, within the one action.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Never

from engines.model import (
    Arrived,
    Become,
    Box,
    Config,
    Consume,
    Effects,
    Family,
    Map,
    Message,
    Ref,
    Send,
    StoredMessage,
    Value,
    rule,
)


class Post(Message):
    """A post with a name of its own, and the names of the posts it needs."""

    name: str
    needs: tuple[str, ...] = ()


class Delivered(Message):
    """To the reader: a post, after all that it needs."""

    name: str


class Reader(Config):
    """Where the posts go."""

    reader: Ref[Delivered]


class History(Value):
    """State: each post delivered, with its place in the order of delivery."""

    places: Map[str, int] = Map()

    def allows(self, post: Post) -> bool:
        """Whether all that the post needs was delivered."""
        return all(need in self.places for need in post.needs)

    def delivered(self, post: Post) -> History:
        """The history with this post; itself if it was delivered before."""
        return self if post.name in self.places else History(self.places.set(post.name, len(self.places)))


INBOX = Box(0, accepts=Post)
Posted = Arrived[Post, Reader, History]


def deliverable(t: Posted) -> History | None:
    """The history with this post, if it may be delivered now."""
    return t.env.state.delivered(t.message) if t.env.state.allows(t.message) else None


@rule(when=deliverable)
def deliver(history: History, t: Posted) -> Effects[History, Delivered]:
    """State: the posts delivered. Messages: these posts; the stored ones are consumed. Timers, engines: none."""
    history, released = release(history, t.env[INBOX].stored)
    before = t.env.state.places
    new = sorted((place, name) for name, place in history.places.items() if name not in before)
    return [
        Become(history),
        *(Consume(post) for post in released),
        *(Send(t.config.reader, Delivered(name)) for _, name in new),
    ]


def release(history: History, stored: Sequence[StoredMessage[Post]]) -> tuple[History, tuple[StoredMessage[Post], ...]]:
    """The history once no stored post is deliverable any more, and the stored posts that were delivered for that."""
    released = tuple(post for post in stored if history.allows(post.message))
    if not released:
        return history, ()
    for post in released:
        history = history.delivered(post.message)
    history, further = release(history, [post for post in stored if post not in released])
    return history, released + further


CAUSAL = Family("causal-mailbox", config=Reader, state=History(), accepts=Post, emits=Delivered, boxes=[INBOX]).rules(
    deliver
)


READ_MAX = 1000


class Read(Value):
    """State of a reader: the posts it got, in order, the latest `READ_MAX`."""

    names: tuple[str, ...] = ()


@rule
def read(post: Delivered, t: Arrived[Delivered, None, Read]) -> Effects[Read, Never]:
    """State: one post more. Messages, timers, engines: none."""
    return Read((*t.env.state.names, post.name)[-READ_MAX:])


READER = Family("reader", state=Read(), accepts=Delivered).rules(read)
