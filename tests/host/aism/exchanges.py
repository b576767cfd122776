"""Exchanges between roles, in short: for each role its moves, `+m role` for what it sends, `?m` for what it waits for.

    {"buyer": "start -> asked +ask seller; asked -> done! ?answer", ...}

A state with `!` is final, one with `~` idle.
"""

from __future__ import annotations

GOOD: dict[str, dict[str, str]] = {
    "request and answer": {
        "buyer": "start -> asked +ask seller; asked -> done! ?answer",
        "seller": "ready~ -> busy ?ask; busy -> ready~ +answer buyer",
    },
    "contract net": {
        "boss": "b0 -> b1 +call worker; b1 -> b2 ?bid; b1 -> bx! ?decline; b2 -> b3 +accept worker;"
        "b2 -> bx! +reject worker; b3 -> bd! ?result",
        "worker": "w0~ -> w1 ?call; w1 -> w2 +bid boss; w1 -> w0~ +decline boss; w2 -> w3 ?accept; w2 -> w0~ ?reject;"
        "w3 -> w0~ +result boss",
    },
    "two-phase approval": {
        "author": "draft -> sent +propose reviewer; sent -> ok ?yes; sent -> draft ?no; ok -> out! +publish reviewer",
        "reviewer": "idle~ -> look ?propose; look -> waits +yes author; look -> idle~ +no author;"
        "waits -> done! ?publish",
    },
    "hand-over": {
        "old": "works -> hands +notes new; hands -> gone! ?taken",
        "new": "waits -> reads ?notes; reads -> goes_on! +taken old",
    },
    "token ring": {
        "a": "has -> a_rest +token b; a_rest -> has ?back",
        "b": "b_rest~ -> b_has ?token; b_has -> b_rest~ +back a",
    },
    "ping and pong": {
        "left": "l0 -> l1 +ping right; l1 -> l0 ?pong; l0 -> l9! +stop right",
        "right": "r0~ -> r1 ?ping; r1 -> r0~ +pong left; r0~ -> r9! ?stop",
    },
    "query with a choice": {
        "asker": "q0 -> q1 +query oracle; q1 -> q2! ?found; q1 -> q2! ?unknown",
        "oracle": "o0~ -> o1 ?query; o1 -> o0~ +found asker; o1 -> o0~ +unknown asker",
    },
    "chain of three": {
        "first": "f0 -> f1 +one second; f1 -> f2! ?three",
        "second": "s0~ -> s1 ?one; s1 -> s0~ +two third",
        "third": "t0~ -> t1 ?two; t1 -> t0~ +three first",
    },
    "subscription": {
        "reader": "out -> in +subscribe press; in -> in ?issue; in -> left +cancel press; left -> left ?issue;"
        "left -> away! ?ended",
        "press": "p0~ -> p1 ?subscribe; p1 -> p1 +issue reader; p1 -> p2 ?cancel; p2 -> p0~ +ended reader",
    },
    "escalation": {
        "worker": "w0 -> w1 +help lead; w1 -> w2! ?advice; w1 -> w3 ?wait; w3 -> w2! ?advice",
        "lead": "l0~ -> l1 ?help; l1 -> l0~ +advice worker; l1 -> l2 +wait worker; l2 -> l0~ +advice worker",
    },
}

PLANTED: dict[str, tuple[str, dict[str, str], str]] = {
    "both wait": (
        "W-DEADLOCK",
        {"a": "a0 -> a1 +go b; a1 -> a2 ?x; a2 -> a9! +y b", "b": "b0 -> b1 ?go; b1 -> b2 ?y; b2 -> b9! +x a"},
        "nothing can happen any more, and nobody has sent a message: a in 'a1', b in 'b1'",
    ),
    "an answer that nobody provided for": (
        "W-UNSPECIFIED",
        {
            "buyer": "start -> asked +ask seller; asked -> done! ?answer; start -> later ?sorry;"
            "later -> done! +ask seller",
            "seller": "ready~ -> busy ?ask; busy -> ready~ +answer buyer; busy -> ready~ +sorry buyer",
        },
        "'sorry' waits for buyer, which is in 'asked' and never takes it",
    ),
    "mail for who has gone": (
        "W-ORPHAN",
        {
            "a": "a0 -> a1 +hello b; a1 -> a9! ?bye; a0 -> a9! +end b",
            "b": "b0~ -> b1 ?hello; b1 -> b0~ +bye a; b0~ -> b9! ?end; b0~ -> b9! +bye a",
        },
        "'hello' is sent to b, which is in 'b9', a final state",
    ),
}


def written(roles: dict[str, str]) -> str:
    """The protocol of an exchange, in markdown."""
    states: dict[str, str] = {}
    moves, of_role, sent = [], {}, {}
    for role, text in roles.items():
        names: dict[str, None] = {}
        for move in filter(None, map(str.strip, text.split(";"))):
            source, _, target, *what = move.split()
            for name in (source, target):
                names[name.rstrip("!~")] = None
                flag = {"!": "final", "~": "idle"}.get(name[-1], "")
                states[name.rstrip("!~")] = states.get(name.rstrip("!~")) or flag
            event = f" on {what[0][1:]} by engine" if what and what[0][0] == "?" else ""
            moves.append(f"- {source.rstrip('!~')} → {target.rstrip('!~')}{event}: As agreed")
            if what and what[0][0] == "+":
                sent[what[0][1:], role] = what[1]
                moves.append(f"  - sends: {what[0][1:]} to {what[1]}")
        of_role[role] = list(names)
    return "\n".join(
        (
            "---\nversion: 1.0.0\n---\n# Protocol: talk\n\n## States",
            *(f"- {name}{f' ({flag})' if flag else ''}: A state" for name, flag in states.items()),
            "\n## Transitions",
            *moves,
            "\n## Roles",
            *(f"- {role}: A role\n  - states: {', '.join(names)}" for role, names in of_role.items()),
            "\n## Messages",
            *(f"- {message}: {sender} → {receiver}" for (message, sender), receiver in sent.items()),
            "",
        )
    )
