"""The commands of `aism`: words, usage, the operation or the function behind them, and one line about it.

`help --json` lists this table, so agents discover what they can do, and `aism init` writes the same into their
instructions. A command's function is imported only when it is called.
"""

from __future__ import annotations

from engines.agents.names import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final, Literal


class Command(NamedTuple):
    """A command. `home` is the operation that it asks for, or "module:function" below `host.aism.commands`."""

    words: str
    usage: str
    home: str
    summary: str
    audience: Literal["agent", "operator", "all"]


HELP: Final = (
    Command("mcp", "", "mcp:serve", "Serve the tools of this agent over the Model Context Protocol.", "all"),
    Command("help", "[<topic>...]", "help:show", "Commands, and how one of them is called.", "all"),
    Command("explain", "<code>", "protocol:explain", "What a finding means, with an example before and after.", "all"),
)

STATE: Final = (
    Command("state current", "[--agent AGENT]", "state.current", "Where am I, and what may I do.", "all"),
    Command(
        "state transition",
        "[<target>] [--context JSON|@FILE|-] [--reason TEXT] [--event NAME] [--agent AGENT]",
        "state:transition",
        "Move to a state; --context has the fields that the move requires.",
        "all",
    ),
    Command(
        "state can", "[<target>] [--agent AGENT]", "state.can", "What is possible, and what blocks the rest.", "all"
    ),
    Command("state history", "[-n COUNT] [--before SEQ] [--agent AGENT]", "state.history", "The last moves.", "all"),
    Command(
        "state wait",
        "[--until EXPR] [--change] [--agent AGENT]",
        "state:wait",
        "Wait until the state changes, or a condition holds.",
        "all",
    ),
    Command("context get", "[<key>] [--agent AGENT]", "context.get", "The fields of the context.", "all"),
    Command("context set", "<field>... [--agent AGENT]", "context.set", "Set fields, as NAME=VALUE.", "all"),
    Command("heartbeat", "", "heartbeat", "Say that the agent is alive.", "agent"),
)

MESSAGE: Final = (
    Command(
        "message send",
        "<to> [<text>] [--type TYPE] [--field NAME=VALUE]... [--reply-to ID] [--conversation ID] [--expires DURATION]",
        "message.send",
        "Send to an agent, role:NAME or @all; the text may be -, or @FILE.",
        "all",
    ),
    Command(
        "message read",
        "[--unread] [--type TYPE] [--from AGENT] [--max COUNT] [--wait DURATION] [--peek] [--ack ID]...",
        "message.read",
        "Read the inbox, the oldest message first; --ack has ids that are dealt with, as `message ack`.",
        "agent",
    ),
    Command("message ack", "<id>...", "message.ack", "Messages are dealt with.", "agent"),
    Command("message refuse", "<id> --reason TEXT", "message:refuse", "Give a message back to its sender.", "agent"),
    Command(
        "message thread", "<conversation> [--after ID]", "message.thread", "The messages of a conversation.", "all"
    ),
)

MEASURE: Final = (
    Command("measure self", "[--agent AGENT]", "measure.self", "What is measured about me.", "all"),
    Command("measure system", "", "measure.system", "What is measured about the whole.", "all"),
    Command("measure peers", "[--after AGENT]", "measure.peers", "What is measured about the others.", "all"),
    Command("measure record", "<id> <value>", "measure.record", "Record a value that the protocol declares.", "agent"),
)

SESSION: Final = (
    Command(
        "session register",
        "[--session-id ID] [--transcript PATH] [--model NAME] [--hook]",
        "session:register",
        "The session of the agent's program; --hook reads a hook's JSON from standard input.",
        "agent",
    ),
    Command(
        "session handover", "--file PATH", "session.handover", "Hand over to the next session, by a file.", "agent"
    ),
    Command("session status", "[--agent AGENT]", "session.status", "The session, and how full its context is.", "all"),
)

REGISTRY: Final = (
    Command(
        "protocol load",
        "<file> [--draft] [--dry-run]",
        "registry:load",
        "Register a version of a protocol.",
        "operator",
    ),
)

PROTOCOL: Final = (
    Command("protocol lint", "<file>... [--strict]", "protocol:lint", "Findings about protocol files.", "operator"),
    Command("protocol fmt", "<file>... [--check]", "protocol:fmt", "Write protocol files in one form.", "operator"),
    Command("protocol graph", "<file> [--dot]", "protocol:graph", "The moves as a diagram (Mermaid, dot).", "operator"),
    Command("protocol explain", "<code>", "protocol:explain", "The same as `explain`.", "all"),
    Command(
        "protocol show",
        "[<name>] [--version-of VERSION] [--section NAME] [--diff VERSION] [--effective]",
        "protocol:show",
        "A protocol of the engine, or a file (name ends in .md), or a section of it.", "all",
    ),
    Command(
        "protocol list", "[<folder>] [--after NAME]", "protocol:listed",
        "The protocols of the engine, or those in a folder.", "all",
    ),
)  # fmt: skip

ROLLOUT: Final = (
    Command(
        "protocol approve", "<name> <version>", "protocol.approve", "Make a version the current one.", "operator"
    ),
    Command("protocol drain", "<name> <version>", "protocol.drain", "Give a version to no new agent.", "operator"),
    Command("protocol retire", "<name> <version>", "protocol.retire", "Forget a version nobody follows.", "operator"),
    Command(
        "protocol migrate",
        "<name> <version> [<agent>...] [--dry-run] [--policy POLICY]",
        "protocol.migrate",
        "Move agents to a version; without agents, all of that protocol.",
        "operator",
    ),
    Command(
        "protocol rollback", "<name> <version> [<agent>...]", "protocol.rollback",
        "Move agents of a version back to the one they had before.", "operator",
    ),
    Command(
        "protocol check", "<old> <new>", "evolution:check",
        "What is different between two versions, and whether running agents can be moved.", "operator",
    ),
    Command(
        "simulate", "<file> --script FILE", "evolution:simulate",
        "Try a protocol with scripted agents and a clock that jumps.", "operator",
    ),
    Command(
        "replay", "[--protocol FILE] [--since DURATION]", "replay:replay",
        "Decide again what is recorded, by this code, or by the protocol in a file.", "operator",
    ),
)  # fmt: skip

NODE: Final = (
    Command("init", "<folder>", "node:init", "Make a folder for an engine for agents.", "operator"),
    Command("up", "[<folder>] [-d] [--strict]", "node:up", "Start the engine; -d returns when it is up.", "operator"),
    Command("down", "[<folder>] [--stop-agents]", "node:down", "Stop the engine; agents run on.", "operator"),
    Command("status", "[<folder>]", "node:status", "What runs: engines, bus, keeper, agents.", "operator"),
    Command(
        "events",
        "[-f] [-n COUNT] [--kind KIND] [--agent AGENT]",
        "node:events",
        "The last events, one a line; -f follows. As text without samples of resources: --kind resource.",
        "operator",
    ),
)

AGENT: Final = (
    Command(
        "agent add",
        "<agent> [<word>...] [--role ROLE] [--protocol NAME] [--isolation LEVEL] [--mode MODE] [--limit NAME=VALUE]..."
        " [--env NAME=VALUE]... [--network] [--no-start]",
        "agent:add", "Add an agent and start it; its command line goes after `--`.", "operator",
    ),
    Command("agent ls", "[--after AGENT]", "agent.list", "The agents, and how they are.", "operator"),
    Command("agent show", "<agent>", "agent.show", "An agent, and how it is.", "operator"),
    Command("agent start", "<agent>", "agent:start", "Start an agent.", "operator"),
    Command(
        "agent stop", "<agent> [--now] [--reason TEXT]", "agent:stop", "Stop an agent; returns when it has.", "operator"
    ),
    Command("agent restart", "<agent> [--reason TEXT]", "agent:restart", "Start an agent anew.", "operator"),
    Command(
        "agent pause", "<agent> [--resume] [--reason TEXT]", "agent.pause",
        "Send an agent no prompts; --resume sends them again.", "operator",
    ),
    Command(
        "agent takeover", "<agent> --reason TEXT", "override.takeover",
        "Take an agent over: nothing is done with it until it is released.", "operator",
    ),
    Command(
        "agent release", "<agent> [--reason TEXT]", "agent:release",
        "Give an agent back; it is started if its process ended meanwhile.", "operator",
    ),
    Command(
        "agent force", "<agent> <target> --reason TEXT", "override.force",
        "Move an agent to a state, whatever its protocol says.", "operator",
    ),
    Command(
        "agent rm", "<agent>", "agent:remove",
        "Remove an agent for ever; returns when its process has ended. Its workspace stays.", "operator",
    ),
    Command(
        "agent logs", "<agent> [--session NUMBER] [-n COUNT] [--stderr]", "agent:logs",
        "The last lines that an agent's process has written.", "operator",
    ),
    Command("prompt", "<agent> <text>", "prompt.send", "Prompt an agent; the text may be -, or @FILE.", "operator"),
    Command("limits show", "<agent>", "limits.show", "The limits of an agent, and how each is kept.", "operator"),
    Command(
        "limits set", "<agent> <limit>...", "agent:set_limits",
        "Set limits, as memory=512MiB; they hold from the next start.", "operator",
    ),
    Command("token rotate", "<agent>", "agent.rotate_token", "Start an agent anew, with a new token.", "operator"),
    Command("doctor", "", "doctor:doctor", "What this machine has for agents: isolation, limits, store.", "operator"),
)  # fmt: skip

MEASURING: Final = (
    Command("audit log", "[-n COUNT] [--agent AGENT]", "audit:log", "The newest commits of the audit.", "operator"),
    Command("audit verify", "", "audit:verify", "Whether the audit is whole.", "operator"),
    Command("audit repair", "", "audit:repair", "Add what the journal has and the audit lacks.", "operator"),
)

COMMANDS: Final = (
    *STATE, *MESSAGE, *MEASURE, *SESSION, *REGISTRY, *PROTOCOL, *ROLLOUT, *NODE, *AGENT, *MEASURING, *HELP,
)  # fmt: skip


def nearest(words: str) -> str:
    """The command whose words are most like these, or "" if none is near."""
    from difflib import get_close_matches

    found = get_close_matches(words, [one.words for one in COMMANDS], n=1, cutoff=0.5)
    return found[0] if found else ""


def family_of(word: str) -> list[str]:
    """The second words of the commands that begin with this one."""
    return [one.words.partition(" ")[2] for one in COMMANDS if one.words.startswith(f"{word} ")]


def find(words: list[str]) -> tuple[Command | None, list[str]]:
    """The command with the most words that `words` begins with, and the rest of them."""
    for count in (3, 2, 1):
        head = " ".join(words[:count])
        for one in COMMANDS:
            if len(words) >= count and one.words == head:
                return one, words[count:]
    return None, words
