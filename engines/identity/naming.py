"""Naming: names for identities, as far as someone vouches for them.

A **link** says that below its parent a label means an identity; the parent signs it. A *dot name* is a parent and a
label. A *local name* is a label below the identity that this engine's parameters name as its root. Links are only
added: a label that was given stays. `resolve_chain` follows labels from the root; the answer has its links, which
anybody can verify one by one (`chain_fault`), since each is signed and the next is signed by what it leads to.

The signed bytes: the tag `enginehost name 1` and a zero byte, the identities of parent and target (32 bytes each), the
label in UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from engines.crypto.keys import Commitment, identity_of, is_valid, signer_of
from engines.model import Arrived, Become, Config, Effects, Family, Map, Message, Ref, Send, Value, rule

TAG: Final = b"enginehost name 1"
LINKS_MAX: Final = 100_000
LABELS_MAX: Final = 32
LABEL_CHARS_MAX: Final = 200

Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=LABEL_CHARS_MAX)]
Problem: TypeAlias = Literal["duplicate", "conflict", "invalid", "full"]


class Root(Config):
    """The identity whose links give the local names."""

    root: Annotated[bytes, Meta(min_length=32, max_length=32)]


class LocalName(Value, tag=True):
    """A name that this engine's root gives."""

    label: Label


class DotName(Value, tag=True):
    """The name that an identity gives."""

    parent: bytes
    label: Label


Name: TypeAlias = LocalName | DotName


class Link(Value):
    """Below `parent`, `label` means `target`; and the parent's commitment to that."""

    parent: bytes
    label: Label
    target: bytes
    proof: Commitment


class SubmitName(Message):
    """Keep this link."""

    link: Link
    reply: Ref[NameAccepted | NameRefused]
    request: int = 0


class NameAccepted(Message):
    """It is kept, for ever."""

    request: int


class NameRefused(Message):
    """It is not, for this reason."""

    reason: Problem
    detail: str
    request: int


class Resolve(Message):
    """Send the identity that a name means."""

    name: Name
    reply: Ref[Resolved | NotResolved]
    request: int = 0


class ResolveChain(Message):
    """Send the identity that labels mean, each below the one before it, the first one below the root."""

    labels: Annotated[tuple[Label, ...], Meta(min_length=1, max_length=LABELS_MAX)]
    reply: Ref[Resolved | NotResolved]
    request: int = 0


class QueryNames(Message):
    """Send the links to an identity."""

    target: bytes
    reply: Ref[NamesFound]


class NamesFound(Message):
    """The links to it, at most `LABELS_MAX`."""

    target: bytes
    links: tuple[Link, ...]


class Resolved(Message):
    """The identity, and the links that lead to it."""

    target: bytes
    links: tuple[Link, ...]
    request: int


class NotResolved(Message):
    """There is no such name: this many labels are known."""

    known: int
    request: int


class Links(Value):
    """State: links by parent and label, those to a target, and how many there are."""

    links: Map[bytes, Map[str, Link]] = Map()
    targets: Map[bytes, tuple[tuple[bytes, str], ...]] = Map()
    count: int = 0

    def find(self, parent: bytes, label: str) -> Link | None:
        """The link of a dot name."""
        return self.links.get(parent, Map[str, Link]()).get(label)

    def follow(self, parent: bytes, labels: Sequence[str]) -> list[Link]:
        """The links of these labels, as far as there are any."""
        found: list[Link] = []
        for label in labels:
            link = self.find(found[-1].target if found else parent, label)
            if link is None:
                break
            found.append(link)
        return found


def signed_name(parent: bytes, label: str, target: bytes) -> bytes:
    """What the parent of a link signs."""
    return TAG + b"\0" + parent + target + label.encode()


def link_fault(link: Link) -> str | None:
    """Why a link proves nothing; None if it does."""
    if len(link.parent) != 32 or len(link.target) != 32:
        return "an identity has 32 bytes"
    if identity_of(signer_of(link.proof)) != link.parent:
        return "its parent did not sign it"
    if not is_valid(link.proof, signed_name(link.parent, link.label, link.target)):
        return "its signature does not hold"
    return None


def chain_fault(root: bytes, labels: Sequence[str], links: Sequence[Link]) -> str | None:
    """Why links do not lead from `root` over `labels`; None if they do. Looks at each link by itself."""
    if len(labels) != len(links):
        return f"{len(labels)} labels need as many links, not {len(links)}"
    parent = root
    for number, (label, link) in enumerate(zip(labels, links, strict=True), start=1):
        if (link.parent, link.label) != (parent, label):
            return f"link {number} is about another name"
        if (fault := link_fault(link)) is not None:
            return f"link {number}: {fault}"
        parent = link.target
    return None


Submitted = Arrived[SubmitName, Root, Links]


def problem(t: Submitted) -> tuple[Problem, str] | None:
    """Why the link is refused."""
    link, known = t.message.link, t.env.state
    if (text := link_fault(link)) is not None:
        return "invalid", text
    before = known.find(link.parent, link.label)
    if before is not None:
        is_same = before.target == link.target
        return ("duplicate", "it is known") if is_same else ("conflict", f"{link.label} means another identity")
    return ("full", f"{LINKS_MAX} links are kept") if known.count >= LINKS_MAX else None


@rule(when=problem)
def refuse(found: tuple[Problem, str], t: Submitted) -> Effects[Links, NameRefused]:
    """Messages: the reason. State, timers, engines: none."""
    return Send(t.message.reply, NameRefused(*found, t.message.request))


@rule(priority=1)
def accept(order: SubmitName, t: Submitted) -> Effects[Links, NameAccepted]:
    """State: one link more. Messages: that it is kept. Timers, engines: none."""
    known, link = t.env.state, order.link
    below = known.links.get(link.parent, Map[str, Link]()).set(link.label, link)
    leading = (*known.targets.get(link.target, ()), (link.parent, link.label))[:LABELS_MAX]
    state = Links(known.links.set(link.parent, below), known.targets.set(link.target, leading), known.count + 1)
    return [Become(state), Send(order.reply, NameAccepted(order.request))]


@rule
def resolve(query: Resolve, t: Arrived[Resolve, Root, Links]) -> Effects[Links, Resolved | NotResolved]:
    """Messages: the identity, or that there is none. State, timers, engines: none."""
    parent = t.config.root if isinstance(query.name, LocalName) else query.name.parent
    return answer_of(query, [query.name.label], t.env.state.follow(parent, [query.name.label]))


@rule
def resolve_chain(query: ResolveChain, t: Arrived[ResolveChain, Root, Links]) -> Effects[Links, Resolved | NotResolved]:
    """Messages: the identity, or that there is none. State, timers, engines: none."""
    return answer_of(query, query.labels, t.env.state.follow(t.config.root, query.labels))


def answer_of(
    query: Resolve | ResolveChain, labels: Sequence[str], links: Sequence[Link]
) -> Effects[Links, Resolved | NotResolved]:
    """Messages: the identity, or that there is none."""
    if len(links) < len(labels):
        return Send(query.reply, NotResolved(len(links), query.request))
    return Send(query.reply, Resolved(links[-1].target, tuple(links), query.request))


@rule
def tell(query: QueryNames, t: Arrived[QueryNames, Root, Links]) -> Effects[Links, NamesFound]:
    """Messages: the links to an identity. State, timers, engines: none."""
    known = t.env.state
    found = (known.find(parent, label) for parent, label in known.targets.get(query.target, ()))
    return Send(query.reply, NamesFound(query.target, tuple(link for link in found if link is not None)))


NAMING = Family(
    "naming",
    config=Root,
    state=Links(),
    accepts=SubmitName | Resolve | ResolveChain | QueryNames,
    emits=NameAccepted | NameRefused | Resolved | NotResolved | NamesFound,
).rules(refuse, accept, resolve, resolve_chain, tell)
