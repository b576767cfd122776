"""A watch of sources that somebody saves all the time, or while an engine is reloaded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deadline import DEADLINE_NS, DEADLINE_S
from live_nodes import World, until
from test_journaled_reload import reload

from host.cli.problem import CliError
from host.cli.watch import SourceWatch
from host.config.spec import EngineSpec
from host.live.control.client import Client
from host.live.control.protocol import ControlError

pytestmark = pytest.mark.storm

SAVE_S = 0.1
ENGINE = EngineSpec("a", "saved:COUNTER")


def made(world: World) -> Path:
    """The source of `ENGINE`: no other test has imported a module of its name here, where the watch looks at it."""
    path = world.roots / "saved.py"
    path.write_text((world.roots / "counting.py").read_text())
    return path


@contextmanager
def saves(path: Path) -> Iterator[None]:
    """A file that is saved all the time, with another comment."""
    over, text = threading.Event(), path.read_text()

    def save() -> None:
        number = 0
        while not over.wait(SAVE_S):
            number += 1
            path.write_text(f"{text}# edition {number}\n")

    thread = threading.Thread(target=save)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(DEADLINE_S)


def test_saves_without_end_do_not_keep_a_watch_from_looking(world: World) -> None:
    """False if what is saved every 100 ms were never reloaded, or the end of the node went unseen meanwhile."""
    path = made(world)
    with world.up(world.spec(ENGINE)) as node, saves(path):
        ended: list[BaseException] = []

        def run() -> None:
            with Client(node.client.path) as client:

                def reload_or_explain(name: str) -> None:
                    try:
                        order = {"engine": name, "timeout_ns": DEADLINE_NS}
                        client.request("reload", order, timeout_ns=DEADLINE_NS)
                    except ControlError as error:  # a text that was read while it was written, or the end of the node
                        raise CliError(error.error, str(error)) from None

                try:
                    SourceWatch(client, node.spec.roots, reload_or_explain).run()
                except ControlError as error:
                    ended.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        until(lambda: len(node.events("reloaded")) > 1, "two reloads")
        node.launch.process.terminate()
        thread.join(DEADLINE_S)
        assert ended


def test_what_was_refused_for_another_text_is_tried_again(world: World) -> None:
    """False if an engine kept its code although its sources are fine: others were there when it was reloaded."""
    source = made(world)
    with world.up(world.spec(ENGINE)) as node:

        def reload_or_explain(name: str) -> None:
            if not node.events("reload_refused"):
                source.write_text(f"{good}nobody_knows\n")
            try:
                reload(node, name)
            except ControlError as error:
                raise CliError(error.error, str(error)) from None
            finally:
                source.write_text(good)

        watch = SourceWatch(node.client, node.spec.roots, reload_or_explain)
        good = f"{source.read_text()}# another one\n"
        source.write_text(good)
        watch.look()
        assert not node.events("reloaded")
        watch.look()
        assert node.events("reloaded")


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_version_that_another_one_replaced_is_given_again(world: World, by_hand: bool) -> None:
    """False if a save were ignored because the watch had given the same text before, and another one since, which
    somebody reloaded by hand or which was saved while the engine was reloaded."""
    source = made(world)
    first = source.read_text()
    second, third = f"{first}# second\n", f"{first}# third\n"
    with world.up(world.spec(ENGINE)) as node:
        saved_meanwhile = "" if by_hand else third

        def reload_what_is_there(name: str) -> None:
            nonlocal saved_meanwhile
            if saved_meanwhile:
                source.write_text(saved_meanwhile)
                saved_meanwhile = ""
            reload(node, name)

        watch = SourceWatch(node.client, node.spec.roots, reload_what_is_there)
        source.write_text(second)
        watch.look()
        if by_hand:
            source.write_text(third)
            reload(node, "a")
        watch.look()
        before = len(node.events("reloaded"))
        source.write_text(second)
        watch.look()
        assert len(node.events("reloaded")) == before + 1
