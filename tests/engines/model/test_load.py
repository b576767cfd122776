"""Loading: always from source, only from the roots, with a version that covers what was read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engines.model import LoadError, compile_ahead, load_family, unchecked
from engines.model.store.load import _ahead
from engines.model.store.texts import unpack_texts

MODULE = """
from engines.model import *
from typing import Any
{extra}

class Hello(Message):
    text: str

class Count(Value):
    number: int = {start}

@rule
def hear(hello: Hello, t: Arrived[Hello, None, Count]) -> Count:
    return Count(t.env.state.number + 1)

HEARER = Family("hearer", accepts=Hello, state=Count()).rules(hear)
{after}
"""


class Root:
    """A code root with packages of its own, and a clean import system afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def write(self, module: str, extra: str = "", after: str = "", start: int = 0, text: str | None = None) -> Path:
        """A module's file; every folder on the way is a package."""
        *packages, name = module.split(".")
        folder = self.folder
        for package in packages:
            folder = folder / package
            folder.mkdir(exist_ok=True)
            (folder / "__init__.py").touch()
        path = folder / f"{name}.py"
        path.write_text(MODULE.format(extra=extra, after=after, start=start) if text is None else text)
        self.names.add(packages[0] if packages else name)
        return path

    def forget(self) -> None:
        """As if no module of it had been imported, like in a new process."""
        for name in list(sys.modules):
            if name.partition(".")[0] in self.names:
                del sys.modules[name]

    def load(self, ref: str, **options: Any) -> Any:
        self.forget()
        return load_family(ref, [str(self.folder)], **options)


@pytest.fixture
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    made = Root(tmp_path)
    yield made
    made.forget()


def test_an_edit_of_the_same_size_within_the_same_second_is_the_one_that_runs(root: Root) -> None:
    """If false, a reload runs the old code."""
    path = root.write("swift.fam", start=1)
    stamp = path.stat()
    for start in (1, 2, 3, 4, 5):
        root.write("swift.fam", start=start)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert root.load("swift.fam:HEARER").state.number == start
    assert not list(root.folder.rglob("*.pyc"))


def test_what_was_compiled_ahead_serves_only_the_text_it_came_from(root: Root) -> None:
    """If false, a worker runs the code from before an edit, or one with a version of its own."""
    path = root.write("early.fam", extra="from . import parts", start=1)
    root.write("early.parts", text="X = 1\n")
    stamp = path.stat()
    late = root.load("early.fam:HEARER").version
    compile_ahead(["early.fam:HEARER"], [str(root.folder)])
    ahead = root.load("early.fam:HEARER")
    assert (ahead.state.number, ahead.version) == (1, late)
    root.write("early.fam", extra="from . import parts", start=2)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    edited = root.load("early.fam:HEARER")
    assert edited.state.number == 2
    assert edited.version != late


def test_compiling_ahead_runs_nothing_and_leaves_mistakes_to_the_import(root: Root) -> None:
    """If false, a family's module runs in the process that all workers come from, or a bad one ends it."""
    root.write("still.fam", after="raise SystemExit")
    root.write("still.bad", text="def")
    compile_ahead(
        ["still.fam:HEARER", "still.bad:A", "still.none:A", "none.at.all:A", "still.fam.deep:A"], [str(root.folder)]
    )
    assert not [name for name in sys.modules if name.startswith("still")]
    assert set(_ahead) & {"still", "still.fam", "still.bad"} == {"still", "still.fam"}
    with pytest.raises(LoadError, match="SyntaxError"):
        root.load("still.bad:A")


@pytest.mark.parametrize("attribute", ["__str__", "__getattribute__"])
def test_a_module_that_raises_what_cannot_be_told_is_refused_with_its_place(root: Root, attribute: str) -> None:
    """False if the process that imports it ended, or the author were not told where it was raised."""
    odd = f"class Odd(BaseException):\n    def {attribute}(self, *_):\n        raise SystemExit(0)\n\nraise Odd\n"
    path = root.write("odd.fam", text=odd)
    with pytest.raises(LoadError, match=rf"{path}:5: Odd"):
        root.load("odd.fam:HEARER")


def test_the_version_covers_what_is_imported_below_the_roots(root: Root) -> None:
    """If false, an edit of a part leaves the version as it was, or a comment elsewhere changes it."""
    root.write("cover.parts", text="X = 1\n")
    root.write("cover.more", text="from . import parts\n")
    root.write("cover.apart", text="Y = 1\n")
    path = root.write("cover.fam", extra="import json\nfrom . import more")
    first = root.load("cover.fam:HEARER")
    assert first.ref == "cover.fam:HEARER"
    assert sorted(map(os.path.basename, first.files)) == ["__init__.py", "fam.py", "more.py", "parts.py"]
    assert root.load("cover.fam:HEARER").version == first.version
    root.write("cover.apart", text="Y = 2\n")
    assert root.load("cover.fam:HEARER").version == first.version
    root.write("cover.parts", text="X = 2\n")
    assert root.load("cover.fam:HEARER").version != first.version
    root.write("cover.parts", text="X = 1\n")
    path.write_text(path.read_text() + "# a comment\n")
    assert root.load("cover.fam:HEARER").version != first.version


def test_the_version_does_not_depend_on_what_was_loaded_before(root: Root) -> None:
    """If false, two processes disagree about the version of the same code."""
    root.write("twice.parts", text="X = 1\n")
    root.write("twice.one", extra="from .parts import X")
    root.write("twice.two", extra="from twice import parts")
    alone = root.load("twice.two:HEARER").version
    root.load("twice.one:HEARER")
    assert load_family("twice.two:HEARER", [str(root.folder)]).version == alone


def test_a_family_in_the_implicit_root_has_a_version() -> None:
    """If false, the families that come with the program cannot be reloaded."""
    from engines.model.store.load import MODEL, finder, use_roots

    use_roots(())
    assert MODEL == "engines.model"
    assert finder.covers(str(Path(sys.modules["engines.model"].__file__ or "").parent.parent / "examples" / "x.py"))


@pytest.mark.parametrize(
    ("after", "line", "reason"),
    [
        ("import nowhere_at_all", 17, "No module named 'nowhere_at_all'"),
        ("1 / 0", 17, "ZeroDivisionError: division by zero"),
        ("def", 17, "SyntaxError: invalid syntax"),
        ("Family('empty', accepts=Hello).rules()", 17, "no rule takes Hello"),
    ],
)
def test_a_module_that_does_not_import_says_where(root: Root, after: str, line: int, reason: str) -> None:
    """If false, whoever wrote the family must search for the mistake."""
    path = root.write("broken", after=after)
    with pytest.raises(LoadError) as caught:
        root.load("broken:HEARER")
    assert (caught.value.file, caught.value.line) == (str(path), line)
    assert reason in str(caught.value)
    assert bool(caught.value.problems) == ("no rule" in reason)


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        ("json:JSONDecoder", "outside the code roots"),
        ("named:NOBODY", "named has no NOBODY; its families: HEARER"),
        ("named:Hello", "named has something else under Hello"),
        ("named.deeper:X", "no module named.deeper"),
        ("nowhere.at.all:X", "no module nowhere below the code roots"),
        ("named", "package.module:NAME"),
        ("../named:X", "package.module:NAME"),
        ("", "package.module:NAME"),
    ],
)
def test_a_name_that_is_no_family_of_the_roots_is_refused(root: Root, ref: str, reason: str) -> None:
    """If false, a node file can run any code, or leaves its writer without a hint."""
    root.write("named")
    with pytest.raises(LoadError, match=reason):
        root.load(ref)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("queue", "Python itself"),
        ("host", "enginehost itself"),
        ("msgspec", "a package that enginehost uses"),
    ],
)
def test_a_module_whose_name_is_taken_is_said_to_be_there(root: Root, name: str, owner: str) -> None:
    """False if whoever wrote `queue.py` were told to make Python's folder a root."""
    path = root.write(name)
    root.names.clear()
    with pytest.raises(LoadError) as caught:
        root.load(f"{name}:HEARER")
    assert f"{path} cannot be imported: {owner} has a module `{name}`; give it another name" in str(caught.value)


def test_an_own_folder_named_engines_is_said_to_be_there(root: Root) -> None:
    """False if whoever wrote `engines/counter.py` were told that there is no such file."""
    (root.folder / "engines").mkdir()
    (root.folder / "engines" / "mine.py").touch()
    with pytest.raises(LoadError, match=r"engines cannot be imported: enginehost itself has a module `engines`"):
        root.load("engines.mine:X")


def test_a_module_of_python_is_not_advised_as_a_root(root: Root) -> None:
    """False if a node file ended up with Python's folder among its roots."""
    with pytest.raises(LoadError) as caught:
        root.load("json:JSONDecoder")
    assert "add its folder" not in str(caught.value)


def test_a_worker_need_not_check_again(root: Root) -> None:
    """If false, each process pays for a check another one made."""
    root.write("lax", after="Family('empty', accepts=Hello).rules()")
    assert root.load("lax:HEARER", check=False).name == "hearer"
    with unchecked():
        assert root.load("lax:HEARER").name == "hearer"
    with pytest.raises(LoadError, match="no rule takes Hello"):
        root.load("lax:HEARER")


def test_a_root_may_hold_folders_without_init_and_never_shadows_the_standard_library(root: Root) -> None:
    """If false, `json.py` in a user's folder breaks the host, or a plain folder is no package."""
    root.write("json", text="raise SystemExit\n")
    root.names.clear()
    (root.folder / "bare").mkdir()
    (root.folder / "bare" / "fam.py").write_text(MODULE.format(extra="import json", after="", start=0))
    root.names.add("bare")
    assert root.load("bare.fam:HEARER").name == "hearer"


@pytest.mark.parametrize(
    ("module", "owner"), [("queue", "Python"), ("engines.counter", "enginehost"), ("host", "enginehost")]
)
def test_a_family_in_a_module_whose_name_is_taken_is_told_to_move(root: Root, module: str, owner: str) -> None:
    """False if the module, which is there, is said to be missing, or the folder of Python's is to become a root."""
    path = root.write(module)
    root.names.clear()
    (path.parent / "__init__.py").unlink(missing_ok=True)
    first = module.partition(".")[0]
    taken = root.folder / (first if "." in module else f"{first}.py")
    with pytest.raises(LoadError) as caught:
        load_family(f"{module}:HEARER", [str(root.folder)])
    assert caught.value.reason == (
        f"{taken} cannot be imported: {owner} itself has a module `{first}`; give it another name"
    )


@pytest.mark.parametrize("extra", ["from queue import Own", "import queue\nqueue.Own", "import transport.own"])
def test_an_import_that_fails_for_a_name_that_is_taken_says_so(root: Root, extra: str) -> None:
    """False if the author is left to find out that it is another module that has no such name."""
    for name in ("queue", "transport"):
        (root.folder / f"{name}.py").write_text("Own = 1")
    root.write("mine", extra=extra)
    with pytest.raises(LoadError, match=r"/(queue|transport).py cannot be imported: (Python|enginehost) itself has"):
        load_family("mine:HEARER", [str(root.folder)])


def test_an_environment_within_a_root_is_no_part_of_it() -> None:
    """False if a project's folder could not be a root because its virtual environment lies in it."""
    family = load_family("engines.examples.timestamping:SERVER", [sys.prefix])
    assert not [file for file in family.files if "site-packages" in file]


def test_a_family_that_is_spawned_by_name_of_its_object_has_a_version_too(root: Root) -> None:
    """False if the children of a family had no version: unchanged code would then be rehearsed for each of them."""
    root.write("brood.young", after='FAR = Family("far", accepts=Hello, state=Count(), spawns=[HEARER]).rules(hear)')
    spawning = """from .young import FAR
NEAR = Family("near", accepts=Hello, state=Count()).rules(hear)
PARENT = Family("parent", accepts=Hello, state=Count(), spawns=[NEAR, FAR, "brood.young:HEARER"]).rules(hear)"""
    root.write("brood.fam", after=spawning)
    near, far, _ = root.load("brood.fam:PARENT").spawns
    (hearer,) = far.spawns
    found = [(one.ref, one.version) for one in (near, far, hearer)]
    refs = ["brood.fam:NEAR", "brood.young:FAR", "brood.young:HEARER"]
    assert found == [(ref, root.load(ref).version) for ref in refs]


def test_a_kept_version_runs_whatever_became_of_its_files(tmp_path: Path) -> None:
    """False if a replay of last week ran the code of today, or a text that is not of that version were run."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "inner.py").write_text("START = 1234\n")
    (tmp_path / "pkg" / "outer.py").write_text(
        MODULE.format(extra="from pkg.inner import START", start="START", after="")
    )
    script = tmp_path / "run.py"
    script.write_text(f"""
import sys
from engines.model import load_family
from engines.model.store.load import texts_of, use_kept
from engines.model.store.texts import pack_texts, unpack_texts
if sys.argv[1] == "keep":
    found = load_family("pkg.outer:HEARER", [{str(tmp_path)!r}])
    open(sys.argv[2], "wb").write(pack_texts(texts_of(found)))
else:
    use_kept(unpack_texts(open(sys.argv[2], "rb").read(), sys.argv[3]), "/kept")
    found = load_family("pkg.outer:HEARER", [])
print(found.version, found.state.number, found.files[-1])
""")

    def run(*args: str) -> list[str]:
        done = subprocess.run([sys.executable, script, *args], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    version, number, _ = run("keep", str(tmp_path / "code"))
    shutil.rmtree(tmp_path / "pkg")
    assert number == "1234"
    assert run("use", str(tmp_path / "code"), version) == [version, "1234", "/kept/pkg/outer.py"]
    data = (tmp_path / "code").read_bytes()
    with pytest.raises(ValueError, match="is damaged"):
        unpack_texts(data.replace(b"1234", b"4321"), version)
    with pytest.raises(ValueError, match="is that of"):
        unpack_texts(data, "0" * 12)
