"""Every family that comes with the project, alone and in its node file, under everything that can come to it."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from engines import examples, protocols
from engines.model import Family
from engines.model.system import System

from .conftest import Cli

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
STATES = [60, pytest.param(400, marks=pytest.mark.storm)]
"""Most have more, without a bound; what is wrong at the first steps is found by the few."""


def named(package: object, kind: type) -> list[str]:
    """What modules of a package define, by reference."""
    name, path = package.__name__, package.__path__  # type: ignore[attr-defined]
    modules = [importlib.import_module(f"{name}.{found.name}") for found in pkgutil.iter_modules(path)]
    owned = ((module.__name__, key, value) for module in modules for key, value in vars(module).items())
    return [f"{at}:{key}" for at, key, value in owned if isinstance(value, kind) and _is_home(value, at)]


def _is_home(value: object, module: str) -> bool:
    return not isinstance(value, Family) or value.ref.startswith(f"{module}:")


FAMILIES = [*named(examples, Family), *named(protocols, Family)]
TRUSTED = {"node.yaml"}
"""Their engines send each other transactions as bytes, and not any bytes; `engines/execution/system.py` has those."""
NODES = [str(path) for path in sorted(CONFIGS.glob("*.yaml")) if path.name not in TRUSTED]
SYSTEMS = [*named(examples, System), "engines.execution.system:SYSTEM", "engines.identity.verification_system:SYSTEM"]


@pytest.mark.parametrize("what", [*FAMILIES, *SYSTEMS, *NODES], ids=lambda what: what.rpartition("/")[2])
@pytest.mark.parametrize("states", STATES)
def test_no_rule_fails_at_what_can_come_to_it(cli: Cli, what: str, states: int) -> None:
    """False if a family that comes with the project failed at a message, an answer or a time that it says it takes."""
    result = cli("check", what, "--states", str(states), "--json")
    (item,) = result.envelope["items"]
    assert item["violations"] == []
    assert item["states"] > 0
