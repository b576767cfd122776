"""Which node a command speaks to."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.cli.problem import CliError
from host.cli.session import choose_instance
from host.live.control.instances import Instance, instance_folders, runtime_roots
from host.live.control.protocol import Request, Response

from .conftest import Cli, StartNode

ENGINE = {"engine": "server", "family": "a:B", "state": "running", "pid": 7, "placement": "process"}


def answers(_: Request) -> list[Response]:
    return [Response("engine", [ENGINE])]


def instance(config: str) -> Instance:
    return Instance(Path(config).stem, config, "d", 1, 1)


def test_the_only_node_below_the_folder_is_meant(start_node: StartNode, cli: Cli) -> None:
    """If false, the tour's `enginehost ps` would not find the node just started."""
    start_node("configs/clock.yaml", answers)
    assert cli("ps", "--json").envelope["items"] == [ENGINE]


def test_a_node_beside_the_folder_is_not_meant(
    start_node: StartNode, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If false, `down` in one project would end the node of another."""
    neighbour = start_node("one/clock.yaml", answers)
    (project / "on").mkdir()
    monkeypatch.chdir(project / "on")
    result = cli("down")
    assert result.code == 5
    assert f"elsewhere: clock ({project}/one/clock.yaml, pid " in result.err
    assert neighbour.seen == []


def test_several_nodes_are_listed_and_none_is_taken(start_node: StartNode, cli: Cli) -> None:
    """If false, a command would reach one of several nodes by chance."""
    nodes = [start_node(name, answers) for name in ("a.yaml", "b/c.yaml")]
    result = cli("ps", "--json")
    assert result.code == 9
    assert [(i["node"], i["error"], i["exit_code"]) for i in result.envelope["items"]] == [
        ("a", "conflict", 9),
        ("c", "conflict", 9),
    ]
    assert "a (a.yaml), c (b/c.yaml)" in result.err
    assert all(node.seen == [] for node in nodes)


@pytest.mark.parametrize("argv", [("ps", "-f", "b.yaml"), ("-f", "b.yaml", "ps"), ("ps", "--file=b.yaml")])
def test_a_named_file_decides(start_node: StartNode, cli: Cli, argv: tuple[str, ...]) -> None:
    """If false, `-f` would not choose among several nodes."""
    other, named = start_node("a.yaml", answers), start_node("b.yaml", answers)
    assert cli(*argv).code == 0
    assert (len(other.seen), len(named.seen)) == (0, 1)


def test_no_node_is_exit_code_5(project: Path, cli: Cli) -> None:
    """If false, a script could not tell "not running" from other failures."""
    (project / "a.yaml").touch()
    assert cli("ps").code == 5
    assert cli("ps", "-f", "a.yaml").code == 5
    assert cli("ps", "-f", "b.yaml").code == 4


def test_what_a_kill_leaves_behind_does_not_count(start_node: StartNode, cli: Cli) -> None:
    """If false, a stale socket file would make commands wait for a node that is gone."""
    node = start_node("a.yaml", answers)
    folder = Path(instance_folders(node.config)[0])
    node.close()
    assert (folder / "control").exists()
    assert (folder / "node.json").exists()
    assert cli("ps").code == 5
    (folder / "node.json").write_text("{")
    assert cli("ps").code == 5


def test_a_node_from_a_shell_without_a_runtime_folder_is_found(
    start_node: StartNode, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If false, a node would be invisible to a login shell, or started a second time from it."""
    value = runtime_roots()[0]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    start_node("a.yaml", answers)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(Path(value).parent))
    assert cli("ps").code == 0


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.sets(paths.map(lambda p: p + ".yaml")), paths, st.none() | paths)
def test_only_what_lies_below_or_right_above_is_chosen(configs: set[str], folder: str, project: str | None) -> None:
    """If false, some arrangement of folders would make a command reach a neighbour."""
    above = ["/" + "/".join(folder.split("/")[1:n]) for n in range(folder.count("/"), 0, -1)]
    below = [c for c in sorted(configs) if c.startswith(folder + "/")]
    beside = [[c for c in sorted(configs) if str(Path(c).parent) == place] for place in above]
    within = [[c for c in sorted(configs) if c.startswith(place + "/")] if place == project else [] for place in above]
    meant = next((c for c in [below, *(w or b for w, b in zip(within, beside, strict=True))] if c), [])
    found = [instance(c) for c in sorted(configs)]
    if len(meant) == 1:
        assert choose_instance(found, folder, project).config == meant[0]
        return
    with pytest.raises(CliError) as caught:
        choose_instance(found, folder, project)
    assert caught.value.problem.error == ("conflict" if meant else "not_running")


@pytest.mark.parametrize("mark", [".git", "pyproject.toml"])
def test_the_node_of_a_project_is_found_from_all_of_it(
    start_node: StartNode, cli: Cli, project: Path, monkeypatch: pytest.MonkeyPatch, mark: str
) -> None:
    """If false, `ps` in `docs/` would not find the node whose file lies in `configs/` beside it."""
    start_node("one/configs/clock.yaml", answers)
    neighbour = project / "two" / "docs"
    for folder in (project / "one" / "docs" / "guides", neighbour):
        folder.mkdir(parents=True)
    for top in ("one", "two"):
        (project / top / mark).touch()
    monkeypatch.chdir(project / "one" / "docs" / "guides")
    assert cli("ps").code == 0
    monkeypatch.chdir(neighbour)
    assert cli("ps").code == 5
