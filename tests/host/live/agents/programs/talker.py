"""A fake of a language-model program: it reads prompts as JSON, one a line, and writes a session log with real defects.

Its context grows by a share of the window with each prompt that says `think`, and begins small in a new conversation.
Arguments: `obedient` writes a hand-over file when it is asked for one, the first time without the ids of messages that
it has not answered; `stubborn` never does. What it is told to remember is in its hand-over, and in its log: a
conversation that is resumed goes on as the log says, and cannot without one.
"""

import json
import os
import subprocess
import sys
import time

WINDOW = 1000
manner = sys.argv[1]
folder = os.path.join(os.getcwd(), "logs", os.environ["AISM_CONVERSATION"])
os.makedirs(folder, exist_ok=True)
log = os.path.join(folder, "session.jsonl")
context = 100
calls = 0
facts: list[str] = []
is_resumed = os.environ["AISM_RESUME"] == "1"


def aism(*words: str) -> dict[str, object]:
    done = subprocess.run(["aism", *words], capture_output=True, text=True, check=False)
    print("aism", *words, "->", done.returncode, done.stdout.strip(), flush=True)
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return {}


def say(tokens: int) -> None:
    """Write a message of the model: first with less output, then whole, then again; and a line that is no JSON."""
    global calls
    calls += 1
    usage = {"input_tokens": 3, "cache_read_input_tokens": tokens - 3, "cache_creation_input_tokens": 0}
    now = time.time()
    with open(log, "a") as file:
        for output in (1, 20, 20):
            message = {"id": f"m{calls}", "model": "talker-1", "usage": {**usage, "output_tokens": output}}
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
            row = {"type": "assistant", "sessionId": "s", "uuid": f"u{calls}", "timestamp": stamp, "isSidechain": False}
            file.write(json.dumps({**row, "requestId": f"q{calls}", "message": message}) + "\n")
        file.write("{broken\n")


def recall() -> None:
    """Take context and facts from the log."""
    global calls, context
    with open(log) as file:
        for line in file:
            if line.startswith("{broken"):
                continue
            message = json.loads(line)["message"]
            if "usage" in message:
                calls = int(message["id"][1:])
                context = message["usage"]["input_tokens"] + message["usage"]["cache_read_input_tokens"]
            else:
                facts.append(message["content"])


if is_resumed:
    recall()
    print("resumed with", context, *facts, flush=True)
else:
    say(context)
    print("began with", context, *facts, flush=True)
aism("session", "register", "--session-id", os.environ["AISM_CONVERSATION"], "--transcript", log)
for line in sys.stdin:
    text = json.loads(line)["message"]["content"][0]["text"]
    print("prompt:", text.replace("\n", " | "), flush=True)
    if "Messages wait" in text:
        aism("message", "read")
    if "Hand-over of your last session: handover.md" in text:
        with open("handover.md") as file:
            facts = next((line.split()[1:] for line in file if line.startswith("Facts:")), facts)
    if "remember " in text:
        facts.append(text.partition("remember ")[2].split()[0])
        with open(log, "a") as file:
            file.write(json.dumps({"type": "user", "message": {"content": facts[-1]}}) + "\n")
        print("knows", *facts, flush=True)
    if "think" in text:
        context += int(text.partition("think ")[2].split()[0])
        say(context)
    if "hand over" in text and manner == "obedient":
        with open("handover.md", "w") as file:
            file.write("# Hand-over\n\nGoal: think. Done: some of it. Next: more of it, with a smaller context.\n" * 3)
            file.write(" ".join(["Facts:", *facts]) + "\n")
        refused = aism("session", "handover", "--file", "handover.md")
        if not refused.get("success"):
            with open("handover.md", "a") as file:
                file.write(json.dumps(refused) + "\n")
            aism("session", "handover", "--file", "handover.md")
    aism("heartbeat")
