"""What the bridge has the store do: users, answers, views, events.

Each is one command or one script, so a crash leaves it done or not done, and a repeat changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import asdict

from engines.agents.bridge.intake import OPEN_OF_AGENT_MAX, Push
from engines.agents.bridge.resp import Word
from engines.agents.bus import (
    ANSWER_KEPT_S,
    OPERATOR,
    agent_key,
    answer_key,
    events_key,
    marked,
    request_key,
    user_name,
)
from engines.agents.messages import Happened, ViewChanged

from .store_link import Script, StoreLink, script
from .store_server import Account

SCHEMA: Final = "1"
EVENTS_MAX: Final = 200_000
EVENTS_BYTES_MAX: Final = 256 << 10
"""Of one command."""

ANSWER_BYTES_MAX: Final = (1 << 20) - 4_096
"""The store closes the connection of a longer value."""

ANSWER: Final[Script] = script("""
local kept, most, at = ARGV[1], tonumber(ARGV[2]), 3
for i = 1, #KEYS, 2 do
  local request, answers, text, last = KEYS[i], KEYS[i + 1], ARGV[at], at + 1 + tonumber(ARGV[at + 1])
  if answers ~= '' then
    for _ = at + 2, last do
      local size = redis.pcall('RPUSH', answers, text)
      if type(size) == 'table' then
        redis.call('DEL', answers)
        redis.call('RPUSH', answers, text)
      elseif size > most then
        redis.call('LTRIM', answers, -most, -1)
      end
    end
    redis.call('EXPIRE', answers, kept)
  end
  redis.call('XDEL', request, unpack(ARGV, at + 2, last))
  at = last + 1
end
""")
"""Push each answer for each of its entries, then remove the entries. An agent may have made its key another thing."""

VIEWS: Final[Script] = script("""
local field, start, at = 'from:' .. ARGV[1], tonumber(ARGV[2]), 3
for i = 1, #KEYS do
  local number, last = tonumber(ARGV[at]), at + 1 + tonumber(ARGV[at + 1])
  local was, is_late = redis.call('HGET', KEYS[i], field), false
  if was then
    local began, count = string.match(was, '^(%d+):(%d+)$')
    is_late = began and (tonumber(began) > start or (tonumber(began) == start and tonumber(count) >= number))
  end
  if not is_late then
    redis.call('HSET', KEYS[i], field, start .. ':' .. number, unpack(ARGV, at + 2, last))
  end
  at = last + 1
end
""")
"""Set fields of views, unless it has those of this number or a later one of the same family, since the same start."""

ADD_EVENTS: Final[Script] = script("""
for i = 2, #ARGV do redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'event', ARGV[i]) end
""")
"""Add entries to the stream of events."""

BASIC_COMMANDS: Final = ("+ping", "+auth", "+hello")
AGENT_COMMANDS: Final = (*BASIC_COMMANDS, "+xadd", "+blpop")
OPERATOR_COMMANDS: Final = (*AGENT_COMMANDS, "+xread", "+xrange", "+xrevrange", "+xlen", "+hgetall", "+zrange")


class StoreCommands:
    """Commands in a namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.meta = f"aism:{namespace}:meta"
        self.sessions = f"aism:{namespace}:sessions"
        self.has_selectors = True

    def operator(self, digest: str) -> Account:
        """The user of operators, who reads everything of the namespace and puts requests."""
        rights = (f"~aism:{self.namespace}:*", "resetchannels", "-@all", *OPERATOR_COMMANDS)
        return Account(OPERATOR, digest, rights)

    def account(self, agent: str, session: int, digest: str) -> Account:
        """The user of a session: adds to its own stream, takes its own answers, nothing else.

        A store before 7.0 cannot tell which command is for which key: there the agent can fill its answers too.
        """
        requests, answers = f"~{request_key(self.namespace, agent)}", f"~{answer_key(self.namespace, agent, '*')}"
        name = user_name(agent, session)
        if self.has_selectors:
            can = (f"(+xadd {requests})", f"(+blpop {answers})")
            return Account(name, digest, ("resetchannels", "-@all", *BASIC_COMMANDS, *can))
        return Account(name, digest, (requests, answers, "resetchannels", "-@all", *AGENT_COMMANDS))

    def push(self, link: StoreLink, pushes: Iterable[Push]) -> None:
        """Answer requests. Raises LinkDown."""
        keys: list[str] = []
        words: list[Word] = [ANSWER_KEPT_S, OPEN_OF_AGENT_MAX]
        for one in pushes:
            where = answer_key(self.namespace, one.agent, one.request_id) if one.request_id else ""
            keys += request_key(self.namespace, one.agent), where
            words += marked(one.mark, one.text), len(one.entries), *one.entries
        link.run(ANSWER, keys, words)

    def views(self, link: StoreLink, sender: str, start: int, changes: Iterable[ViewChanged]) -> None:
        """Change views. Raises LinkDown."""
        keys: list[str] = []
        words: list[Word] = [sender, start]
        for one in changes:
            keys.append(agent_key(self.namespace, one.agent))
            words += one.number, 2 * len(one.fields), *(text for pair in one.fields for text in pair)
        link.run(VIEWS, keys, words)

    def events(self, link: StoreLink, events: Iterable[Happened]) -> None:
        """Add events. Raises LinkDown."""
        texts: list[Word] = []
        size = 0
        for event in events:
            text = msgspec.json.encode(asdict(event))
            if size + len(text) > EVENTS_BYTES_MAX:
                link.run(ADD_EVENTS, (events_key(self.namespace),), (EVENTS_MAX, *texts))
                texts, size = [], 0
            texts.append(text)
            size += len(text)
        if texts:
            link.run(ADD_EVENTS, (events_key(self.namespace),), (EVENTS_MAX, *texts))

    def seen(self, link: StoreLink, agents: set[str], now_ns: int) -> None:
        """These agents have put requests. Raises LinkDown."""
        pairs = [word for agent in agents for word in (now_ns // 1_000_000, agent)]
        link.tell("ZADD", f"aism:{self.namespace}:hb", *pairs)


def allow(account: Account) -> tuple[str, ...]:
    """The command that makes a user what the account says, whatever it was."""
    return ("ACL", "SETUSER", account.name, "reset", "on", f"#{account.digest}", *account.rights)
