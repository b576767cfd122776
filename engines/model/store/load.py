"""Loading a family by name, "package.module:NAME", always from source.

Code roots are folders of packages; `engines` always is one. Modules below them are compiled from source each time a
process imports them, and leave no bytecode: a cached file is trusted by size and second, so after an edit
of the same size within a second the old module would run. The version of a family is a digest over the source of its
module and of every module below the roots that it imports, directly or not. The model itself does not count, since a
running process cannot exchange it.

A process that others are forked from may compile modules before it knows which child needs them (`compile_ahead`). It
runs none of them, and a child uses such a code object only for exactly the text that it has just read.

Texts that were kept of a version (`use_kept`) come before the roots: such a process runs that version, whatever becomes
of the files. A module whose file has its text is shown there, so tracebacks and what lies beside it are as always.

The awkward case: a module's imports are read from its text, not observed. A module that is already loaded is not
imported again, so an observing digest would be smaller for the second family.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType
from typing import Any, Final, NamedTuple

from ..blame import blame, traceback_of
from ..check.definition import DefinitionError, Problem, unchecked
from ..declaration import Declaration
from .texts import ModuleText, version_of

IMPLICIT: Final = "engines"
HOSTS: Final = frozenset({"engines", "host", "transport", "bench"})
"""Top-level packages that come with the model; a root cannot have a module or folder of such a name."""
INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
"""Folders of installed packages: a virtual environment may lie in the project's folder, which is a root."""
USED: Final = "a package that enginehost uses"
MODEL: Final = __name__.rpartition(".store.")[0]


class LoadError(Exception):
    """A family cannot be loaded. `file` and `line` give the place (line 0: none in particular), `reason` why and
    what to do; `problems` are the mistakes of a family that is not well defined, else empty."""

    def __init__(self, ref: str, reason: str, file: str = "", line: int = 0, problems: Sequence[Problem] = ()) -> None:
        self.ref, self.reason, self.file, self.line = ref, reason, file, line
        self.problems = tuple(problems)
        place = f"{file}:{line}: " if file else ""
        super().__init__(f"cannot load {ref}: {place}{reason}")


class Compiled(NamedTuple):
    """A module's text, its code object, and the modules it may import."""

    path: str
    source: bytes
    code: CodeType
    imports: tuple[str, ...]


_ahead: Final[dict[str, Compiled]] = {}
"""Modules that this process, or the one it was forked from, compiled ahead; by module name."""


class SourceOnly(SourceFileLoader):
    """Compiles a module from its text, without reading or writing bytecode; keeps text and imports."""

    compiled: Compiled

    def get_code(self, fullname: str) -> CodeType:
        """Read, parse and compile; parsing and compiling are skipped if done ahead. Raises SyntaxError, OSError."""
        path = self.get_filename(fullname)
        source = self.get_data(path)
        ahead = _ahead.get(fullname)
        if ahead is not None and (ahead.path, ahead.source) == (path, source):
            self.compiled = ahead
        else:
            self.compiled = self._compile(fullname, path, source)
        return self.compiled.code

    def _compile(self, fullname: str, path: str, source: bytes) -> Compiled:
        tree = ast.parse(source, path)
        package = fullname if self.is_package(fullname) else fullname.rpartition(".")[0]
        imports = tuple(dict.fromkeys(_imports(tree, package)))
        return Compiled(path, source, compile(tree, path, "exec", dont_inherit=True), imports)


class KeptText(SourceOnly):
    """Compiles a module from a text that was kept, whatever its path has."""

    def __init__(self, text: ModuleText, path: str) -> None:
        super().__init__(text.name, path)
        self._text = text

    def get_data(self, path: str) -> bytes:
        """The kept text."""
        return self._text.source if path == self.path else super().get_data(path)

    def spec(self) -> ModuleSpec | None:
        """The spec of the module."""
        folders = [self.path.rpartition("/")[0]] if self._text.is_package else None
        return spec_from_file_location(self._text.name, self.path, loader=self, submodule_search_locations=folders)


class RootFinder:
    """Finds the modules below the code roots for the import system, ahead of everything else."""

    def __init__(self) -> None:
        self.roots: tuple[str, ...] = ()
        self.kept: dict[str, KeptText] = {}
        self.places: tuple[str, ...] = ()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module below a root, with a loader that compiles from source; None for any other."""
        if is_model(fullname):
            return None
        if fullname in self.kept:
            return self.kept[fullname].spec()
        if path is None and (fullname in sys.stdlib_module_names or fullname in HOSTS):
            return None
        folders: list[str] = []
        for place in self.roots if path is None else filter(self.covers, path):
            spec = FileFinder(place, (SourceOnly, [".py"])).find_spec(fullname)
            if spec is not None and spec.loader is not None:
                return spec
            folders += spec.submodule_search_locations or () if spec is not None else ()
        if not folders and any(name.startswith(f"{fullname}.") for name in self.kept):
            folders.append(f"{self.places[0]}/{fullname.replace('.', '/')}")
        return self._namespace(fullname, path, folders)

    def _namespace(self, fullname: str, path: Sequence[str] | None, folders: list[str]) -> ModuleSpec | None:
        """The spec of a folder without `__init__`, unless a real package elsewhere has its name."""
        if not folders or (path is None and PathFinder.find_spec(fullname) is not None):
            return None
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = folders
        return spec

    def covers(self, path: str) -> bool:
        """Whether a file or folder lies below a root. What is installed into an environment there does not."""
        for root in (*self.roots, *self.places, *_engines_folders()):
            if path == root or path.startswith(root.rstrip("/") + "/"):
                return not INSTALLED.intersection(path[len(root) :].split("/"))
        return False


def is_model(name: str) -> bool:
    """Whether a module is part of the engine model, which a process has in one version."""
    return name == MODEL or name.startswith(MODEL + ".")


def _engines_folders() -> tuple[str, ...]:
    return tuple(import_module(IMPLICIT).__path__)


finder: Final = RootFinder()


def use_roots(roots: Iterable[str]) -> None:
    """From now on import modules below these folders (absolute paths), and below `engines`, from source.

    Roots given before stay, behind these.
    """
    finder.roots = tuple(dict.fromkeys((*(root.rstrip("/") or "/" for root in roots), *finder.roots)))
    if finder not in sys.meta_path:
        sys.meta_path.insert(0, finder)


def use_kept(texts: Iterable[ModuleText], place: str, roots: Iterable[str] = ()) -> None:
    """From now on import these modules from their texts. One whose file below the roots has another text, or is gone,
    is shown in a folder `place`.

    Raises ValueError for a module that has another text here already.
    """
    use_roots(roots)
    loaded = {loader.name: loader.compiled.source for loader in _compiled_here()}
    found: dict[str, KeptText] = {}
    for text in texts:
        before = finder.kept.get(text.name)
        if loaded.get(text.name, text.source) != text.source or (
            before and before.get_data(before.path) != text.source
        ):
            raise ValueError(f"{text.name} is loaded from another text already")
        found[text.name] = before or KeptText(text, _file_of(text) or place_of(text, place))
    finder.kept |= found
    finder.places = tuple(dict.fromkeys((place, *finder.places)))


def place_of(text: ModuleText, place: str) -> str:
    """The path of a module in a folder."""
    inner = text.name.replace(".", "/")
    return f"{place}/{inner}/__init__.py" if text.is_package else f"{place}/{inner}.py"


def _file_of(text: ModuleText) -> str:
    """The file below the roots that has this text now; "" if none has."""
    loader = _find_loader(text.name)
    with suppress(OSError):
        if loader is not None and loader.is_package(text.name) == text.is_package:
            return loader.path if loader.get_data(loader.path) == text.source else ""
    return ""


def texts_of(declared: Declaration[Any, Any, Any]) -> tuple[ModuleText, ...]:
    """The texts of a loaded family's version."""
    return tuple(text for text, _ in _texts(declared.ref.partition(":")[0]))


def compile_ahead(refs: Iterable[str], roots: Sequence[str] = ()) -> None:
    """Compile the modules of families and their imports below the roots, for this process and those it forks.

    No module is run. A module that is missing or faulty is skipped; its import reports the fault.
    """
    use_roots(roots)
    todo, seen = [ref.partition(":")[0] for ref in refs], set[str]()
    while todo:
        name = todo.pop()
        if name in seen or is_model(name):
            continue
        seen.add(name)
        todo += [name.rpartition(".")[0]] if "." in name else []
        with suppress(SyntaxError, ValueError, RecursionError, OSError, ImportError):
            loader = _find_loader(name)
            if loader is not None:
                loader.get_code(name)
                _ahead[name] = loader.compiled
                todo += loader.compiled.imports


def _find_loader(name: str) -> SourceOnly | None:
    """The loader of a module below a root, found without importing the packages it lies in."""
    first, *others = name.split(".")
    package = import_module(IMPLICIT).__spec__ if first == IMPLICIT else finder.find_spec(first)
    for part in others:
        if package is None:
            return None
        package = finder.find_spec(f"{package.name}.{part}", package.submodule_search_locations or ())
    if package is None or package.origin is None:
        return None
    return SourceOnly(name, package.origin)


def sources_run() -> dict[str, bytes]:
    """The text that each module below the roots was compiled from in this process, by file; without the model's."""
    return {loader.compiled.path: loader.compiled.source for loader in _compiled_here()}


def _compiled_here() -> list[SourceOnly]:
    loaders = (getattr(module, "__loader__", None) for module in tuple(sys.modules.values()))
    return [loader for loader in loaders if isinstance(loader, SourceOnly) and hasattr(loader, "compiled")]


def load_family(ref: str, roots: Sequence[str] = (), *, check: bool = True) -> Declaration[Any, Any, Any]:
    """The family or device "package.module:NAME", with its `ref`, `version` and `files` set, as of those it spawns.

    Args:
        roots: code roots besides `engines`, absolute paths.
        check: False skips the definition check, for a worker whose families were inspected from the same sources.

    Raises:
        LoadError: the name is malformed or outside the roots, the module cannot be imported, or it is no family.
    """
    found = load_object(ref, roots, check=check)
    module_name, _, name = ref.partition(":")
    if not isinstance(found, Declaration):
        module = sys.modules[module_name]
        known = ", ".join(key for key, value in vars(module).items() if isinstance(value, Declaration)) or "none"
        what = "has no" if found is None else "has something else under"
        raise LoadError(ref, f"{module_name} {what} {name}; its families: {known}", module.__file__ or "", 0)
    _complete(found, ref)
    return found


def _complete(family: Declaration[Any, Any, Any], ref: str) -> None:
    """Set what a declaration cannot know; also of the families it spawns, which nobody may load by their names."""
    texts = _texts(ref.partition(":")[0])
    family.loaded(ref, version_of(text for text, _ in texts), tuple(file for _, file in texts))
    for child in getattr(family, "spawns", ()):
        if isinstance(child, Declaration) and child.ref and not child.version:
            _complete(child, child.ref)


def load_object(ref: str, roots: Sequence[str] = (), *, check: bool = True) -> object:
    """What a module holds under "package.module:NAME", None for nothing; arguments as for `load_family`.

    Raises:
        LoadError: the name is malformed or outside the roots, or the module cannot be imported.
    """
    module_name, colon, name = ref.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module_name.split("."), name)):
        raise LoadError(ref, f"{ref!r} is no import path: write package.module:NAME")
    use_roots(roots)
    return getattr(_import(ref, module_name, check), name, None)


def families_in(module_name: str, roots: Sequence[str] = ()) -> tuple[str, ...]:
    """The references of the families and devices that a module defines, in its order; raises LoadError."""
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise LoadError(module_name, "a module is named package.module")
    use_roots(roots)
    module = _import(module_name, module_name, check=True)
    found = [value for value in vars(module).values() if isinstance(value, Declaration)]
    return tuple(dict.fromkeys(one.ref for one in found if one.ref.startswith(f"{module_name}:")))


def module_at(path: str, roots: Sequence[str] = ()) -> str:
    """The name under which the file at an absolute path is imported; "" if it lies below no root."""
    places = [(root.rstrip("/") + "/", "") for root in roots]
    places += [(folder + "/", f"{IMPLICIT}.") for folder in _engines_folders()]
    for folder, prefix in sorted(places, key=lambda place: len(place[0]), reverse=True):
        if path.startswith(folder):
            inner = path.removeprefix(folder).removesuffix(".py").removesuffix("/__init__")
            return prefix + inner.replace("/", ".")
    return ""


def _import(ref: str, module_name: str, check: bool) -> ModuleType:
    """The module, which must lie below a root."""
    with _quiet_bytecode(), nullcontext() if check else unchecked():
        try:
            module = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
                roots = ", ".join((*finder.roots, *_engines_folders()))
                found = _hidden(error.name)
                reason = found or f"there is no module {error.name} below the code roots ({roots})"
                raise LoadError(ref, reason) from error
            raise _import_error(ref, error) from error
        except BaseException as error:  # sys.exit in a module is its mistake too, and does not end our process
            raise _import_error(ref, error) from error
    if not finder.covers(module.__file__ or ""):
        raise LoadError(ref, _hidden(module_name) or _outside(module_name, module.__file__))
    return module


def _outside(name: str, file: str | None) -> str:
    """The report that a module is not below a code root; with advice, unless no root can have a module of its name."""
    first = name.partition(".")[0]
    advice = "" if first in sys.stdlib_module_names or first in HOSTS else "; add its folder to roots"
    return f"{name} lies outside the code roots, at {file or 'no file'}{advice}"


def _hidden(name: str) -> str:
    """Why a module below a code root is not the one imported under its name, and what to do; "" if it is that one."""
    first = name.partition(".")[0]
    taken, owner = sys.modules.get(first), _owner(first)
    if owner == USED and (taken is None or finder.covers(taken.__file__ or "")):
        return ""
    for root in finder.roots:
        spec = FileFinder(root, (SourceOnly, [".py"])).find_spec(first)
        path = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
        if path and path not in (getattr(taken, "__file__", None), *getattr(taken, "__path__", ())):
            path = path.removesuffix("/__init__.py")
            return f"{path} cannot be imported: {owner} has a module `{first}`; give it another name"
    return ""


def _owner(first: str) -> str:
    """The owner of a module that a root cannot have under this name."""
    if first in HOSTS:
        return "enginehost itself"
    return "Python itself" if first in sys.stdlib_module_names else USED


def _imported_by(error: BaseException) -> str:
    """The module that caused an import error, or that lacks an imported name."""
    if type(error) is AttributeError and isinstance(error.obj, ModuleType):
        return error.obj.__name__
    if type(error) is ImportError or type(error) is ModuleNotFoundError:
        return error.name or ""
    return ""


@contextmanager
def _quiet_bytecode() -> Iterator[None]:
    """No loader writes bytecode inside."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before


def _import_error(ref: str, error: BaseException) -> LoadError:
    """The error of an import, at the innermost place below the roots."""
    if type(error) is DefinitionError:  # by type: an author's class may lie about itself
        first = error.problems[0]
        return LoadError(ref, str(error), first.file, first.line, error.problems)
    if type(error) in (SyntaxError, IndentationError, TabError):
        assert isinstance(error, SyntaxError)
        return LoadError(ref, f"{type(error).__name__}: {error.msg}", error.filename or "", error.lineno or 0)
    file, line = "", 0
    trace = traceback_of(error)
    while trace is not None:
        if finder.covers(trace.tb_frame.f_code.co_filename):
            file, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    hidden = _hidden(_imported_by(error))
    return LoadError(ref, blame(error)[0] + (f"; {hidden}" if hidden else ""), file, line)


def _texts(module_name: str) -> list[tuple[ModuleText, str]]:
    """The texts that a version covers, with their files: of the module and of its imports below the roots, by name."""
    found: dict[str, tuple[ModuleText, str]] = {}
    todo = [module_name]
    while todo:
        name = todo.pop()
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if name in found or is_model(name) or not file or not finder.covers(file):
            continue
        compiled = _compiled(name, file)
        found[name] = (ModuleText(name, hasattr(module, "__path__"), compiled.source), file)
        todo += compiled.imports
        todo += [name.rpartition(".")[0]] if "." in name else []
    return [found[name] for name in sorted(found)]


def _compiled(name: str, file: str) -> Compiled:
    """The text a module was compiled from and the names it may import."""
    loader = getattr(sys.modules[name], "__loader__", None)
    if not isinstance(loader, SourceOnly) or not hasattr(loader, "compiled"):
        # Imported before the roots were known (a test, an interpreter): the text as it is now.
        loader = SourceOnly(name, file)
        loader.get_code(name)
    return loader.compiled


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Modules named in a text's import statements; for `from a import b` both a and a.b, which need not be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (base, node.module or "") if part)
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)
