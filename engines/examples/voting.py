"""A poll: each voter counts once, whatever they send; the candidates are a parameter.

The voter is the sender stamped by the host. It cannot be forged, so the vote itself need not name it.
"""

from __future__ import annotations

from engines.model import Arrived, Config, Effects, Family, Map, Message, Ref, Send, Value, rule


class Candidates(Config):
    """The candidates of this poll."""

    candidates: tuple[str, ...]


class Vote(Message):
    """The sender's vote."""

    candidate: str


class ResultRequest(Message):
    """Send the result so far to `destination`."""

    destination: Ref[Result]


class Result(Message):
    """The votes of each candidate, and the number of voters."""

    votes: Map[str, int]
    voters: int


class Votes(Value):
    """State of a poll: each voter's candidate."""

    by_voter: Map[str, str] = Map()


Voted = Arrived[Vote, Candidates, Votes]


def counts(t: Voted) -> Votes | None:
    """The votes with this one, if it is the voter's first and for a candidate."""
    votes = t.env.state.by_voter
    if t.sender in votes or t.message.candidate not in t.config.candidates:
        return None
    return Votes(votes.set(t.sender, t.message.candidate))


@rule(when=counts)
def count(votes: Votes, _t: Voted) -> Effects[Votes, Result]:
    """State: one vote more. Messages, timers, engines: none."""
    return votes


@rule(priority=1)
def disregard(_vote: Vote, _t: Voted) -> Effects[Votes, Result]:
    """A second vote, or a vote for no candidate. State, messages, timers, engines: none."""
    return []


@rule
def tell(request: ResultRequest, t: Arrived[ResultRequest, Candidates, Votes]) -> Effects[Votes, Result]:
    """State: none. Messages: the result, to the destination. Timers, engines: none."""
    cast = t.env.state.by_voter.values()
    votes = Map((candidate, cast.count(candidate)) for candidate in t.config.candidates)
    return Send(request.destination, Result(votes, len(cast)))


POLL = Family("poll", config=Candidates, state=Votes(), accepts=Vote | ResultRequest, emits=Result).rules(
    count, disregard, tell
)


class Elect(Message):
    """To a voter: vote for `candidate` in `poll`."""

    candidate: str
    poll: Ref[Vote]


@rule
def elect(order: Elect, _t: Arrived[Elect, None, None]) -> Effects[None, Vote]:
    """State: none. Messages: the vote. Timers, engines: none."""
    return Send(order.poll, Vote(order.candidate))


VOTER = Family("voter", accepts=Elect, emits=Vote).rules(elect)
