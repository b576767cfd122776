"""Modules for the reading of code: one for each way a rule may depend on more than its input, and clean ones alike.

Each case is (imports, what stands before the rule, the body of the rule); lines to be found are marked `# <- kind`.
"""

from __future__ import annotations

import re

HEAD = """\
from __future__ import annotations

from engines.model import (
    Arrived, Become, Box, Config, Effects, Elapsed, Family, Handle, Interaction, Map, Message, Note, Ref, Roll, Send,
    SetTimer, Timer, Value, interactive_rule, rule,
)
"""

TYPES = """

class Ask(Message):
    word: str = ""
    words: tuple[str, ...] = ()
    number: int = 0


class Seen(Value):
    last: int = 0
    word: str = ""
    counts: Map[str, int] = Map()
"""

ACT = """

@rule
def act(ask: Ask, t: Arrived[Ask, None, Seen]) -> Effects[Seen, None]:
{body}
"""

FAMILY = """

FAMILY = Family("planted", accepts=Ask, state=Seen()).rules(act)
"""


def module(body: str, above: str = "", head: str = "") -> str:
    """A module with one rule: `head` are imports, `above` stands before the rule, `body` in it."""
    indented = "\n".join("    " + line for line in body.strip().splitlines())
    return HEAD + head + TYPES + ("\n\n" + above.strip() + "\n" if above else "") + ACT.format(body=indented) + FAMILY


def marked(text: str) -> set[tuple[int, str]]:
    """The lines marked `# <- kind`, with the kinds."""
    lines = enumerate(text.splitlines(), 1)
    return {(line, kind) for line, code in lines for kind in re.findall(r"<- ([\w-]+)", code)}


PLANTED = {
    "clock": ("import time", "", "return Seen(time.time_ns())  # <- clock"),
    "clock by another name": ("from time import monotonic_ns as ns", "", "return Seen(ns())  # <- clock"),
    "clock of datetime": ("import datetime as d", "", "return Seen(d.datetime.now().year)  # <- clock"),
    "clock of an imported class": ("from datetime import date", "", "return Seen(date.today().year)  # <- clock"),
    "clock imported inside": ("", "", "import time as clock\nreturn Seen(clock.time_ns())  # <- clock"),
    "clock from inside": ("", "", "from time import time_ns\nnow = time_ns  # <- clock\nreturn Seen(now())"),
    "clock without its argument": ("import time", "", "return Seen(time.gmtime().tm_year)  # <- clock"),
    "clock at import": ("import time", "BOOT = time.time_ns()  # <- clock", "return Seen(BOOT)"),
    "clock as a default": (
        "import time",
        "def read(now: int = time.time_ns()) -> int:  # <- clock\n    return now",
        "return Seen(read())",
    ),
    "sleep": ("import time", "", "time.sleep(1)  # <- clock\nreturn Seen()"),
    "chance": ("import random", "", "return Seen(random.randrange(6))  # <- random"),
    "chance by name": ("from random import choice", "", "return Seen(len(choice(ask.words)))  # <- random"),
    "a generator without a seed": ("import random", "", "return Seen(random.Random().randrange(6))  # <- random"),
    "secrets": ("import secrets", "", "return Seen(secrets.randbelow(6))  # <- random"),
    "uuid": ("import uuid", "", "return Seen(0, str(uuid.uuid4()))  # <- random"),
    "urandom": ("import os", "", "return Seen(os.urandom(1)[0])  # <- random"),
    "a key drawn": (
        "from nacl.signing import SigningKey",
        "",
        "return Seen(SigningKey.generate().encode()[0])  # <- random",
    ),
    "loop over a set": ("", "", "for word in set(ask.words):  # <- set-order\n    return Seen(0, word)\nreturn []"),
    "loop over a named set": ("", "", "seen = {*ask.words}\nreturn [Note(w) for w in seen]  # <- set-order"),
    "a set that exists": ("", "KNOWN = frozenset({'a', 'b'})", "return Seen(0, '+'.join(KNOWN))  # <- set-order"),
    "list of a difference": ("", "", "return Seen(0, list(set(ask.words) - {'a'})[0])  # <- set-order"),
    "views combined": ("", "", "a = dict(a=1)\nreturn Seen(0, str([*(a.keys() & {'a'})]))  # <- set-order"),
    "pop of a set": ("", "", "left = frozenset(ask.words) | {'x'}\nreturn Seen(0, set(left).pop())  # <- set-order"),
    "unpacking of a set": ("", "", "first, *rest = {*ask.words}  # <- set-order\nreturn Seen(0, first)"),
    "text of a set": ("", "", "return Seen(0, f'{set(ask.words)}')  # <- set-order"),
    "set from a function": (
        "",
        "def words_of(ask: Ask) -> set[str]:\n    return set(ask.words)",
        "return Seen(0, tuple(words_of(ask))[0])  # <- set-order",
    ),
    "set as an argument": (
        "",
        "def first(words: frozenset[str]) -> str:\n    return next(iter(words))  # <- set-order",
        "return Seen(0, first(frozenset(ask.words)))",
    ),
    "address": ("", "", "return Seen(id(ask))  # <- identity"),
    "hash": ("", "", "return Seen(hash(ask.word))  # <- hash"),
    "hash handed on": ("", "", "return Seen(max(ask.words, key=hash) and 1)  # <- hash"),
    "thread": ("import threading", "", "threading.Thread(target=print).start()  # <- thread <- io\nreturn Seen()"),
    "task": ("import asyncio", "", "asyncio.run(None)  # <- thread\nreturn Seen()"),
    "pool": (
        "from concurrent.futures import ThreadPoolExecutor as Pool",
        "",
        "Pool()  # <- thread\nreturn Seen()",
    ),
    "process": ("import subprocess", "", "subprocess.run(['true'])  # <- process\nreturn Seen()"),
    "system": ("from os import system as call", "", "call('true')  # <- process\nreturn Seen()"),
    "file": ("", "", "with open('x') as file:  # <- io\n    return Seen(len(file.read()))"),
    "path": ("from pathlib import Path", "", "file = Path(ask.word)\nreturn Seen(0, file.read_text())  # <- io"),
    "print": ("", "", "print(ask.word)  # <- io\nreturn Seen()"),
    "input": ("", "", "return Seen(0, input())  # <- io"),
    "listing": ("import os", "", "return Seen(len(os.listdir('.')))  # <- io"),
    "socket": ("import socket", "", "socket.create_connection(('a', 1))  # <- io\nreturn Seen()"),
    "web": ("from urllib.request import urlopen", "", "urlopen(ask.word)  # <- io\nreturn Seen()"),
    "log": ("import logging", "LOG = logging.getLogger()", "LOG.info(ask.word)  # <- io\nreturn Seen()"),
    "module by its name": ("", "", "__import__('os').system('true')  # <- process\nreturn Seen()"),
    "environment": ("import os", "", "return Seen(0, os.environ['HOME'])  # <- environment"),
    "environment by name": ("from os import environ", "", "return Seen(0, environ.get('A', ''))  # <- environment"),
    "environment at import": (
        "import os",
        "HOME = os.getenv('HOME') or ''  # <- environment",
        "return Seen(0, HOME)",
    ),
    "pid": ("import os", "", "return Seen(os.getpid())  # <- environment"),
    "global": ("", "COUNT = 0", "global COUNT\nCOUNT += 1  # <- memory\nreturn Seen(COUNT)"),
    "global list": ("", "WORDS: list[str] = []", "WORDS.append(ask.word)  # <- memory\nreturn Seen(len(WORDS))"),
    "global dict": ("", "CACHE: dict[str, int] = {}", "CACHE[ask.word] = 1  # <- memory\nreturn Seen(len(CACHE))"),
    "global under another name": (
        "",
        "WORDS: list[str] = []",
        "seen = WORDS\nseen.append(ask.word)  # <- memory\nreturn Seen(len(WORDS))",
    ),
    "global counter": (
        "from itertools import count",
        "NUMBERS = count()",
        "return Seen(next(NUMBERS))  # <- memory",
    ),
    "global generator of chance": (
        "import random",
        "DICE = random.Random(7)",
        "return Seen(DICE.randrange(6))  # <- memory",
    ),
    "attribute of a class": (
        "",
        "class Counter:\n    count = 0",
        "Counter.count += 1  # <- memory\nreturn Seen(Counter.count)",
    ),
    "attribute of a function": ("", "", "act.action.calls = 1  # <- memory\nreturn Seen()"),
    "object with methods": (
        "",
        "class Tally:\n    count = 0\n    def add(self) -> int:\n        self.count += 1  # <- memory\n"
        "        return self.count\n\n\nTALLY = Tally()",
        "return Seen(TALLY.add())",
    ),
    "default that is kept": (
        "",
        "def keep(word: str, seen: list[str] = []) -> int:\n    seen.append(word)  # <- memory\n    return len(seen)",
        "return Seen(keep(ask.word))",
    ),
    "name of a factory": (
        "",
        "def counter():\n    n = 0\n    def add() -> int:\n        nonlocal n\n        n += 1  # <- memory\n"
        "        return n\n    return add\n\n\nADD = counter()",
        "return Seen(ADD())",
    ),
    "function in a table": (
        "import time",
        "TABLE = {'now': lambda: time.time_ns()}  # <- clock",
        "return Seen(TABLE['now']())",
    ),
    "handed to a factory": (
        "import time",
        "def read_by(read):\n    return lambda: read()  # <- clock\n\n\nREAD = read_by(time.time_ns)  # <- clock",
        "return Seen(READ())",
    ),
    "partial": (
        "import random\nfrom functools import partial",
        "def draw(n: int) -> int:\n    return random.randrange(n)  # <- random\n\n\nDRAW = partial(draw, 6)",
        "return Seen(DRAW())",
    ),
    "cached": (
        "import time\nfrom functools import lru_cache",
        "@lru_cache\ndef read() -> int:\n    return time.time_ns()  # <- clock",
        "return Seen(read())",
    ),
    "inner function": (
        "import time",
        "",
        "def now() -> int:\n    return time.time_ns()  # <- clock\nreturn Seen(now())",
    ),
    "method of a value": (
        "import time",
        "class Held(Value):\n    def age(self) -> int:\n        return time.time_ns()  # <- clock",
        "return Seen(t.env.state.age())",
    ),
    "property of a value": (
        "import time",
        "class Held(Value):\n    @property\n    def age(self) -> int:\n        return time.time_ns()  # <- clock",
        "return Seen(t.env.state.age)",
    ),
    "factory of a default": (
        "import time\nfrom msgspec import field",
        "class Held(Value):\n    at: int = field(default_factory=lambda: time.time_ns())  # <- clock",
        "return Seen(Held().at)",
    ),
    "constructor": (
        "import time",
        "class Held(Value):\n    def __post_init__(self) -> None:\n        time.time_ns()  # <- clock",
        "return Seen(0 if Held() else 1)",
    ),
}
CLEAN = {
    "the trigger's time": ("", "", "return Seen(t.now_ns)"),
    "names that are parameters": (
        "",
        "def sum_of(hash: int, id: int) -> int:\n    return hash + id",
        "return Seen(sum_of(1, 2))",
    ),
    "own functions named like builtins": (
        "",
        "def open(word: str) -> str:\n    return word",
        "return Seen(0, open('a'))",
    ),
    "own names like modules": ("", "", "time = t.now_ns\nrandom = time % 6\nreturn Seen(random)"),
    "a module that is not used": ("import random, socket, time", "", "return Seen()"),
    "times that are given": (
        "import time, datetime",
        "",
        "day = datetime.date.fromisoformat('2026-01-01') + datetime.timedelta(days=1)\n"
        "return Seen(time.gmtime(0).tm_year + day.year)",
    ),
    "a generator with a seed": ("import random", "", "dice = random.Random(t.now_ns)\nreturn Seen(dice.randrange(6))"),
    "a uuid of a name": ("import uuid", "", "return Seen(0, str(uuid.uuid5(uuid.NAMESPACE_DNS, ask.word)))"),
    "sets without order": (
        "",
        "KNOWN = frozenset({'a', 'b'})",
        "words = set(ask.words)\n"
        "n = len(words) + sum(len(w) for w in words) + len([w for w in sorted(words) if w in KNOWN])\n"
        "more = {w + '!' for w in words} | {*words}\n"
        "return Seen(n + (words <= more) + any(w for w in list(more)), max(map(str, more), default=''), "
        "Map((w, 1) for w in words))",
    ),
    "order of other things": ("", "", "a = {w: 1 for w in ask.words}\nreturn Seen(0, ''.join([*a, *a.keys()]))"),
    "hash of a number": ("", "", "return Seen(hash(len(ask.words)) + hash(3))"),
    "a hash of its own": (
        "",
        "class Key(Value):\n    word: str = ''\n    def __hash__(self) -> int:\n        return hash(self.word)",
        "return Seen(len({Key(): 1}))",
    ),
    "paths and addresses as text": (
        "import os\nfrom pathlib import PurePosixPath, Path\nfrom urllib.parse import quote",
        "",
        "return Seen(0, os.path.join('a', quote(PurePosixPath(Path('b').name).name)))",
    ),
    "types in annotations and in except": (
        "import socket, threading",
        "",
        "found: threading.Thread | None = None\n"
        "try:\n    return Seen(int(ask.word))\nexcept (OSError, socket.gaierror):\n    return Seen(0 if found else 1)",
    ),
    "tables that are read": (
        "",
        "TABLE = {'a': [1, 2]}\nNAMES = ['a']",
        "more = [*NAMES]\nmore.append(ask.word)\ncopy = dict(TABLE)\ncopy['b'] = []\n"
        "return Seen(TABLE.get(ask.word, [0])[0] + len(more) + len(copy))",
    ),
    "local things that change": (
        "from itertools import count",
        "class Tally:\n    def __init__(self) -> None:\n        self.count = 0\n"
        "    def add(self) -> int:\n        self.count += 1\n        return self.count",
        "numbers = count()\nnext(numbers)\ntally = Tally()\ntally.add()\n"
        "def more() -> None:\n    nonlocal total\n    total += 1\ntotal = 0\nmore()\nreturn Seen(total)",
    ),
    "what no rule calls": (
        "import time",
        "def stopwatch() -> float:\n    return time.monotonic()",
        "return Seen()",
    ),
    "objects with attributes of their own making": (
        "",
        "class Odd:\n    def __getattr__(self, name: str) -> int:\n        raise RuntimeError(name)\n\n\nODD = Odd()",
        "return Seen(1 if ODD.number == ODD else 0)",
    ),
    "a constant of a module": ("import math, string", "", "return Seen(int(math.pi), string.digits)"),
}
