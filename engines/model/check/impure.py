"""The names that make a rule impure: what they do to it, and what to write instead.

A table, no logic. Keys are dotted names as `meaning` finds them; the longest key that a name begins with decides, and a
key that maps to "" permits what a shorter one would refuse (`os.path.join`, `random.Random(seed)`). Functions that are
pure with an argument and impure without one (`time.gmtime`) are in `PURE_WITH`, with the number of their arguments.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Impurity(NamedTuple):
    """A kind of finding: what code of this kind does, why it breaks determinism, and what to do instead."""

    does: str
    why: str
    remedy: str


DEVICE: Final = "let a device engine do it, and take its answer as a message (docs/guides/devices.md)"

KINDS: Final[dict[str, Impurity]] = {
    "clock": Impurity(
        "reads a clock", "each run reads another time", "take the time from the trigger (`t.now_ns`), or set a timer"
    ),
    "random": Impurity(
        "draws a random value",
        "each run draws another value",
        "ask for it: `yield from Roll(sides)` in an interactive rule; or compute it from a seed in the state",
    ),
    "set-order": Impurity(
        "uses the order of a set",
        "the order follows the hash seed, which differs between processes",
        "sort it (`sorted(…)`), or use a tuple or a Map",
    ),
    "identity": Impurity(
        "uses the address of an object",
        "an object has another address in each process",
        "compare values, or number them in the state",
    ),
    "hash": Impurity(
        "uses a hash",
        "hashes of text and bytes follow the hash seed, which differs between processes",
        "use the value itself, or a digest (`hashlib.blake2b`)",
    ),
    "thread": Impurity("uses threads or tasks", "what runs first differs between runs", DEVICE),
    "process": Impurity("uses processes", "a replay would do it again, with another result", DEVICE),
    "io": Impurity(
        "does input or output",
        "the result depends on the world outside, and a replay would do it again",
        "leave a `Note`, or " + DEVICE,
    ),
    "environment": Impurity(
        "reads its surroundings",
        "they differ between machines and processes",
        "put the value into the family's parameters (`config=`)",
    ),
    "memory": Impurity(
        "changes what outlives the transition",
        "it is lost with the process, repeated by a replay, and shared by all engines of the process",
        "keep it in the state (`Become`)",
    ),
    "overlap": Impurity(
        "competes with another rule",
        "",
        "make the guards exclude each other, or give one of the rules a higher `priority=`",
    ),
    "difference": Impurity(
        "had another outcome in a process with another hash seed",
        "a replay, or the same engine on another machine, would go another way",
        "look in the rule, its guard and what they call for what differs between the two runs",
    ),
    "definition": Impurity("is not well defined", "the family cannot be used", "correct it; lint again"),
    "unsearched": Impurity(
        "could not be tried",
        "overlaps and differences were not looked for",
        "give values: lint a node file that configures the family",
    ),
    "accept": Impurity(
        "is no valid comment",
        "it accepts nothing",
        "write `# lint: accept KIND: reason`, on the line of the finding or alone above it",
    ),
}
"""Every kind of finding."""

REMEDIES: Final = {
    "time.sleep": "set a timer: `SetTimer(TIMER, after_ns=…)`",
    "builtins.print": "leave a line in the log: `Note(text)`",
    "logging": "leave a line in the log: `Note(text)`",
    "builtins.input": "ask: `yield from Choose(options)` in an interactive rule",
    "random.Random": "give it a seed from the trigger or the state",
}
"""Better advice than the kind's, by the name or its beginning."""

_TABLE: Final = {
    "": "datetime.datetime time.struct_time time.strptime time.mktime random.Random uuid.UUID uuid.uuid3 "
    "uuid.uuid5 uuid.NAMESPACE_DNS uuid.NAMESPACE_URL os.path os.fspath os.fsencode os.fsdecode os.sep os.linesep "
    "os.PathLike os.strerror os.error shutil.Error sqlite3.Error subprocess.SubprocessError "
    "pathlib.Path.parts pathlib.Path.drive pathlib.Path.root pathlib.Path.anchor pathlib.Path.name pathlib.Path.suffix "
    "pathlib.Path.suffixes pathlib.Path.stem pathlib.Path.parent pathlib.Path.parents pathlib.Path.joinpath "
    "pathlib.Path.with_name pathlib.Path.with_stem pathlib.Path.with_suffix pathlib.Path.relative_to "
    "pathlib.Path.is_relative_to pathlib.Path.is_absolute pathlib.Path.as_posix pathlib.Path.match",
    "clock": "time datetime.datetime.now datetime.datetime.utcnow datetime.datetime.today datetime.date.today",
    "random": "random secrets uuid.uuid1 uuid.uuid4 uuid.uuid6 uuid.uuid7 uuid.getnode os.urandom os.getrandom "
    "ssl.RAND_bytes numpy.random nacl.utils.random nacl.signing.SigningKey.generate nacl.public.PrivateKey.generate "
    "nacl.bindings.randombytes",
    "identity": "builtins.id",
    "hash": "builtins.hash",
    "thread": "threading thread _thread concurrent.futures asyncio queue sched contextvars",
    "process": "subprocess multiprocessing signal pty os.fork os.forkpty os.system os.popen os.kill os.killpg os._exit "
    "os.abort os.wait os.waitpid os.waitid os.execl os.execle os.execlp os.execlpe os.execv os.execve os.execvp "
    "os.execvpe os.posix_spawn os.posix_spawnp os.spawnl os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve "
    "os.spawnvp os.spawnvpe psutil",
    "io": "builtins.open builtins.print builtins.input builtins.breakpoint io.open io.FileIO io.TextIOWrapper "
    "io.BufferedReader io.BufferedWriter io.BufferedRandom os os.path.exists os.path.lexists os.path.isfile "
    "os.path.isdir os.path.islink os.path.ismount os.path.getsize os.path.getmtime os.path.getatime os.path.getctime "
    "os.path.realpath os.path.samefile shutil tempfile glob fileinput socket ssl select selectors socketserver "
    "http.client http.server urllib.request ftplib smtplib imaplib poplib xmlrpc sqlite3 dbm shelve mmap fcntl termios "
    "logging warnings.warn webbrowser getpass sys.stdin sys.stdout sys.stderr requests httpx aiohttp urllib3 "
    "websockets paramiko grpc redis psycopg psycopg2 pymongo pymysql boto3 botocore kafka pika zmq codecs.open "
    "linecache",
    "environment": "os.environ os.environb os._Environ os.getenv os.getenvb os.putenv os.unsetenv os.getcwd os.getuid "
    "os.getgid os.geteuid os.getegid os.getlogin os.uname os.cpu_count os.sched_getaffinity os.getloadavg "
    "os.path.abspath os.path.expanduser os.path.expandvars os.name platform locale sys.argv sys.executable sys.path "
    "sys.platform sys.flags sys.modules sys.hash_info time.tzname time.timezone time.altzone time.tzset "
    "datetime.datetime.fromtimestamp datetime.date.fromtimestamp time.localtime time.ctime os.getpid os.getppid "
    "socket.gethostname zoneinfo.available_timezones",
    "memory": "gc weakref",
}

NAMES: Final = {name: kind for kind, names in _TABLE.items() for name in names.split()}
"""The kind of each name, and of every name that begins with it and a dot; "" permits it."""

PURE_WITH: Final = {
    "time.gmtime": 1,
    "time.asctime": 1,
    "time.strftime": 2,
    "datetime.datetime.fromtimestamp": 2,
}
"""Calls with at least this many arguments are pure: what they would read is given."""

IMPURE_BARE: Final = {"random.Random": "random"}
"""Classes that are pure with an argument only."""


def kind_of(name: str) -> str:
    """The kind of finding that the use of a dotted name is; "" for none."""
    while name:
        if name in NAMES:
            return NAMES[name]
        if name.startswith("pathlib.Path."):
            return "io"
        name = name.rpartition(".")[0]
    return ""


def remedy_of(kind: str, name: str) -> str:
    """What to write instead of a name."""
    while name:
        if name in REMEDIES:
            return REMEDIES[name]
        name = name.rpartition(".")[0]
    return KINDS[kind].remedy
