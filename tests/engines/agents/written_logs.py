"""Session logs as an agent's program writes them, with the defects of real ones, and what they should come to."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from engines.agents.measuring.session_records import Usage


def assistant(name: str, usage: Usage, **more: Any) -> dict[str, Any]:
    """A line of a message by the model."""
    row: dict[str, Any] = {
        "type": "assistant",
        "uuid": more.pop("uuid", f"u-{name}"),
        "sessionId": "s",
        "timestamp": more.pop("timestamp", "2026-01-31T12:00:00.250Z"),
        "isSidechain": more.pop("sidechain", False),
        "message": {
            "id": name,
            "model": more.pop("model", "claude-x"),
            "usage": {
                "input_tokens": usage.input,
                "cache_read_input_tokens": usage.cache_read,
                "cache_creation_input_tokens": usage.cache_write,
                "output_tokens": usage.output,
            },
        },
    }
    if request := more.pop("request", "q"):
        row["requestId"] = request
    return row | more


def random_logs(seed: int, messages: int, files: int) -> tuple[list[list[str]], Usage, int]:
    """Lines by file, the tokens they come to, and those of the last message of the main chain by time.

    Each message is written up to 14 times with a growing output, some without request id, some in two files; times are
    out of order; there are other lines, damaged ones, and lines of sub-agents.
    """
    draw = Random(seed)
    lines: list[list[str]] = [[] for _ in range(files)]
    total, newest, context = Usage(), "", 0
    for number in range(messages):
        final = Usage(*(draw.randrange(10_000) for _ in range(3)), draw.randrange(1, 5_000))
        name, side = f"m{seed}-{number}", draw.random() < 0.2
        minute = draw.randrange(60)
        stamp = f"2026-01-31T{number % 24:02d}:{minute:02d}:{number % 60:02d}.{number % 1000:03d}Z"
        total = total.plus(final)
        if not side and stamp >= newest:
            newest, context = stamp, final.context
        homes = draw.sample(range(files), min(files, draw.choice([1, 1, 1, 2])))
        outputs = sorted(draw.randrange(1, final.output + 1) for _ in range(draw.randrange(14)))
        for index, output in enumerate([*outputs, final.output, *outputs[:1]]):
            usage = Usage(final.input, final.cache_read, final.cache_write, output)
            request = draw.choice(["", f"q{number}", f"q{number}"])
            row = assistant(name, usage, request=request, timestamp=stamp, sidechain=side)
            for home in homes if index == len(outputs) else homes[:1]:
                lines[home].append(json.dumps(row))
        noise = ['{"type":"user","message":{"content":"hi"}}', "{broken", "", "null", '{"type":"assistant"}']
        lines[draw.randrange(files)].append(draw.choice(noise))
    return lines, total, context
