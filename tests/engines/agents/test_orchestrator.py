"""The orchestrator, without processes: lives, restarts, prompts, rotations."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from orchestra import TERMS, Orchestra, S

from engines.agents.messages import (
    Admit,
    AgentSeen,
    Enrol,
    Enter,
    PromptWanted,
    ProtocolChanged,
    Resend,
    Retire,
    Revoke,
    ViewChanged,
)
from engines.agents.orchestration.launching import (
    AgentExited,
    EndSession,
    ForgetSession,
    GivePrompt,
    InterruptSession,
    LaunchersKnown,
    LaunchersReport,
    LaunchSession,
    PrepareSession,
    Running,
    SessionUse,
    WriteState,
)
from engines.agents.orchestration.policy import backoff_ns
from engines.agents.orchestration.prompts import END, FOLD, framed


def test_a_start_goes_by_its_steps_and_ends_with_the_first_request() -> None:
    """False if a process runs before its token is admitted, or a start ends without a request."""
    world = Orchestra()
    assert world.ask("agent.add", agent="ann")["success"]
    steps = [Enrol, PrepareSession, Admit, LaunchSession, GivePrompt]
    assert [type(each) for each in world.sent if type(each) in steps] == steps
    assert world.life().phase == "starting"
    world.seen()
    assert world.life().phase == "ready"
    assert world.life().flight is None


def test_l2_pauses_double_and_the_budget_ends_in_quarantine() -> None:
    """False if a pause differs from its schedule by over a fifth, or the sixth crash starts the agent again."""
    world = Orchestra()
    world.add()
    for attempt in range(1, 6):
        world.exit()
        assert world.life().phase == "backoff"
        pause = (world.life().due_ns or 0) - world.now_ns
        assert abs(pause - 2 ** (attempt - 1) * S) <= 0.2 * 2 ** (attempt - 1) * S
        world.wait(pause / S)
        assert world.life().phase == "starting"
        world.seen()
    world.exit()
    assert world.life().phase == "quarantined"
    assert [each.state for each in world.of(Enter)] == ["quarantined"]
    world.wait(1_000)
    assert world.life().phase == "quarantined"
    assert world.ask("agent.start", agent="ann")["success"]
    assert [each.state for each in world.of(Enter)] == ["quarantined", "back"]
    assert world.life().phase == "starting"


def test_l2_a_stable_life_resets_budget_and_pause() -> None:
    """False if crashes from before a long life count."""
    world = Orchestra()
    world.add()
    for _ in range(5):
        world.exit()
        world.wait(20)
        world.seen()
    world.wait(301)
    world.exit()
    assert world.life().phase == "backoff"
    assert world.life().attempt == 1


def test_an_exit_is_shown_without_a_status_that_nobody_knows() -> None:
    """False if people read 'status None'."""
    world = Orchestra()
    world.add()
    world.exit(status=None, reason="lost")
    assert world.life().last_exit == "lost"


@pytest.mark.parametrize("status", [64, 78, 125, 126, 127])
def test_an_exit_for_ever_is_not_tried_again(status: int) -> None:
    """False if a status of configuration starts the agent again."""
    world = Orchestra()
    world.add()
    world.exit(status=status)
    assert world.life().phase == "quarantined"


@given(st.text(max_size=10), st.integers(1, 100))
def test_pauses_are_bounded_and_repeatable(agent: str, attempt: int) -> None:
    """False if jitter leaves a tenth, or two calls differ."""
    pause = backoff_ns(TERMS, agent, attempt)
    schedule = min(60 * S, S << (attempt - 1))
    assert 0.9 * schedule - 1 <= pause <= 1.1 * schedule + 1
    assert pause == backoff_ns(TERMS, agent, attempt)


def test_a_start_without_a_request_counts_as_a_crash() -> None:
    """False if an agent that puts no request stays in `starting`."""
    world = Orchestra()
    world.ask("agent.add", agent="ann")
    world.wait(61)
    assert world.life().restarts == 1
    assert world.of(Revoke)


def test_s4_a_crash_below_sixty_percent_resumes_and_above_begins_anew() -> None:
    """False if a conversation is given up below 60 %, or kept above, or resumed again after that failed."""
    world = Orchestra()
    world.add()
    world.facts(measure__context_percent=59.0)
    world.exit()
    world.wait(2)
    assert (world.life().is_resumed, world.life().conversation) == (True, 1)
    assert dict(world.of(LaunchSession)[-1].plan.environment.items())["AISM_RESUME"] == "1"
    world.exit()
    world.wait(5)
    assert (world.life().is_resumed, world.life().conversation) == (False, 2), "resuming failed once"
    world.seen()
    world.facts(measure__context_percent=60.0)
    world.exit()
    world.wait(10)
    assert (world.life().is_resumed, world.life().conversation) == (False, 3)


def test_prompts_go_one_at_a_time_and_reasons_coalesce() -> None:
    """False if two prompts are in flight, or one reason waits twice."""
    world = Orchestra()
    world.add()
    before = len(world.of(GivePrompt))
    world.deliver(PromptWanted("ann", "reminder", "one"))
    world.deliver(PromptWanted("ann", "message", "two"))
    world.deliver(PromptWanted("ann", "message", "three"))
    assert len(world.of(GivePrompt)) == before + 1
    world.seen()
    assert len(world.of(GivePrompt)) == before + 2
    assert "three" in world.of(GivePrompt)[-1].text
    assert "two" not in world.of(GivePrompt)[-1].text
    world.seen()
    assert len(world.of(GivePrompt)) == before + 2


def test_each_word_of_a_person_is_given_and_in_order() -> None:
    """False if a prompt of a person replaces another that waits, or as many as one likes can wait."""
    world = Orchestra()
    world.add()
    world.deliver(PromptWanted("ann", "reminder", "well?"))
    for number in range(20):
        assert world.ask("prompt.send", agent="ann", text=f"word {number}")["success"]
    assert world.ask("prompt.send", agent="ann", text="one more")["error"]["code"] == "too_many_prompts"
    given = len(world.of(GivePrompt))
    for _ in range(21):
        world.seen()
    texts = [each.text for each in world.of(GivePrompt)[given:]]
    assert [text.partition("word ")[2].split()[0] for text in texts] == [str(number) for number in range(20)]


def test_a_prompt_that_an_agent_dies_of_is_given_twice_at_most_and_replaces_no_later_one() -> None:
    """False if an agent is quarantined by one prompt, or loses what came after it."""
    world = Orchestra()
    world.add()
    assert world.ask("prompt.send", agent="ann", text="die")["success"]
    assert world.ask("prompt.send", agent="ann", text="live")["success"]
    for _ in range(2):
        assert "die" in world.of(GivePrompt)[-1].text
        world.exit()
        world.wait(5)
        world.seen()
    assert "live" in world.of(GivePrompt)[-1].text
    assert [dict(each.attributes)["reason"] for each in world.events("prompt.given_up")] == ["person"]
    world.deliver(PromptWanted("ann", "message", "earlier"))
    world.seen()
    assert "earlier" in world.of(GivePrompt)[-1].text
    world.deliver(PromptWanted("ann", "message", "later"))
    world.exit()
    world.wait(10)
    world.seen()
    assert "later" in world.of(GivePrompt)[-1].text


def test_l9_an_agent_that_ignores_prompts_is_prompted_again_interrupted_and_restarted() -> None:
    """False if a prompt without effect is not repeated with its number, or nothing follows."""
    world = Orchestra()
    world.add()
    world.deliver(PromptWanted("ann", "reminder", "well?"))
    number = world.of(GivePrompt)[-1].prompt
    world.wait(121)
    assert [each.prompt for each in world.of(GivePrompt)][-2:] == [number, number + 1]
    assert len({each.text for each in world.of(GivePrompt)[-2:]}) == 1
    world.wait(120)
    assert world.life().phase == "stuck"
    assert world.of(InterruptSession)
    world.wait(120)
    assert world.life().phase in ("backoff", "starting")
    assert world.life().restarts == 1


def test_a_request_before_the_prompt_is_no_effect_of_it() -> None:
    """False if a late sign of an earlier request counts as delivery."""
    world = Orchestra()
    world.add()
    earlier = world.now_ns
    world.wait(1)
    world.deliver(PromptWanted("ann", "reminder", "well?"))
    world.deliver(AgentSeen("ann", 1, earlier))
    assert world.life().flight is not None


def test_silence_is_noticed_but_not_in_an_idle_state() -> None:
    """False if a working agent may be silent for ever, or an idle one is disturbed."""
    world = Orchestra()
    world.add()
    world.move("work")
    world.seen()
    world.wait(500)
    world.deliver(LaunchersReport((SessionUse("ann", 1, 1, 1, 1, 10),)))
    world.wait(500)
    assert not world.events("alarm.silent")
    world.wait(101)
    assert world.events("alarm.silent")
    world.seen()
    world.move("idle", flags=("idle",))
    world.seen()
    count = len(world.events("alarm.silent"))
    world.wait(2_000)
    assert len(world.events("alarm.silent")) == count
    assert world.life().phase == "waiting"


def test_v10_nothing_is_done_by_itself_in_direct() -> None:
    """False if an agent that a person has taken over is prompted, or not prompted after."""
    world = Orchestra()
    world.add()
    world.move("direct")
    count = len(world.of(GivePrompt))
    world.deliver(PromptWanted("ann", "message", "hello"))
    world.facts(measure__context_percent=99.0)
    world.wait(10_000)
    assert len(world.of(GivePrompt)) == count
    assert world.life().phase == "direct"
    world.move("work")
    assert len(world.of(GivePrompt)) == count + 1


def test_a_move_starts_and_stops_agents_by_role_or_name() -> None:
    """False if `start` and `stop` of a move have no effect, or reach others."""
    world = Orchestra()
    world.add()
    for agent, role in (("bob", "helper"), ("eve", "clerk")):
        world.ask("agent.add", agent=agent, role=role, start=False)
    world.move("work", wants=("start helper",))
    assert (world.life("bob").phase, world.life("eve").phase) == ("starting", "registered")
    world.seen("bob")
    world.move("rest", wants=("stop bob",))
    assert (world.life("bob").phase, world.life().phase) == ("stopped", "busy")


def test_limits_of_the_protocol_hold_where_the_agent_has_none_of_its_own() -> None:
    """False if a limit in a protocol file is not one of the process, wins over that of the agent, or is not shown."""
    world = Orchestra()
    source = "# Protocol: inbox\n\n## States\n- inbox: x\n\n## Limits\n- memory: 512MiB\n- wall: 2h\n- pids: 40\n"
    world.add(limits={"pids": 7})
    world.deliver(ProtocolChanged("inbox", "1.0.0", "d1", source, True), "validator")
    world.move("inbox")
    world.ask("agent.restart", agent="ann")
    limits = dict(world.of(LaunchSession)[-1].plan.limits.items())
    assert limits == {"memory_bytes": 512 << 20, "wall_s": 7200, "pids": 7}
    for op, body in (("limits.show", {}), ("agent.show", {}), ("limits.set", {"limits": {"pids": 7}})):
        assert world.ask(op, agent="ann", **body)["data"]["limits"] == limits, op


def exits(world: Orchestra) -> None:
    """The process ends with an error."""
    world.exit(status=1)


def is_lost(world: Orchestra) -> None:
    """The launchers know nothing of the process."""
    world.deliver(LaunchersKnown(()), "launcher")


@pytest.mark.parametrize("end", [exits, is_lost])
@pytest.mark.parametrize("is_before", [False, True])
def test_v10_an_agent_that_ends_in_direct_is_started_by_its_release(
    end: Callable[[Orchestra], None], is_before: bool
) -> None:
    """False if an agent whose process ends while a person has it, or just before, is started by itself; or if it is not
    once it is given back."""
    world = Orchestra()
    world.add()
    if is_before:
        end(world)
    world.move("direct")
    if not is_before:
        end(world)
    world.wait(1_000)
    assert (world.life().phase, world.life().session) == ("stopped", 1)
    world.move("work")
    assert (world.life().phase, world.life().session) == ("starting", 2)
    world.seen()
    assert world.life().phase in ("ready", "busy")


def test_v10_an_agent_that_is_stopped_in_direct_stays_so() -> None:
    """False if an agent that a person stops while it is taken over, or whose process has ended and that is given back
    to a quarantine, is started by its release; or if one that is given back to a final state goes on."""
    world = Orchestra()
    for agent in ("ann", "bob", "eve", "joe"):
        world.add(agent)
        world.move("direct", agent)
    world.ask("agent.stop", agent="ann")
    world.exit("bob")
    world.exit("joe")
    for agent, state, flags in (
        ("ann", "work", ()),
        ("bob", "quarantined", ()),
        ("eve", "done", ("final",)),
        ("joe", "done", ("final",)),
    ):
        world.move(state, agent, flags)
        assert (world.life(agent).phase, world.life(agent).session) == ("stopped", 1)


def test_v10_an_agent_that_a_person_starts_in_direct_is_in_direct() -> None:
    """False if an agent that is started while a person has it is prompted before its release, or not after."""
    world = Orchestra()
    world.add()
    world.move("direct")
    world.exit(status=1)
    count = len(world.of(GivePrompt))
    world.ask("agent.start", agent="ann")
    world.seen()
    assert (world.life().phase, world.life().session) == ("direct", 2)
    assert len(world.of(GivePrompt)) == count
    world.move("work")
    assert len(world.of(GivePrompt)) == count + 1


def test_a_stop_in_quarantine_does_not_keep_the_agent_there() -> None:
    """False if an agent that was stopped in quarantine is started in the state `quarantined`."""
    world = Orchestra()
    world.add()
    world.exit(status=78)
    world.move("quarantined", flags=("system",))
    world.ask("agent.stop", agent="ann")
    world.ask("agent.start", agent="ann")
    assert [each.state for each in world.of(Enter)] == ["quarantined", "back"]


def test_a_final_state_stops_the_agent() -> None:
    """False if an agent in a final state is started again."""
    world = Orchestra()
    world.add()
    world.move("done", flags=("final",))
    assert world.life().phase == "stopped"
    world.wait(1_000)
    assert world.life().phase == "stopped"


GOOD = "goal: x\n" + "what is done, and what is next\n" * 20


def test_s1_a_rotation_asks_checks_and_replaces_the_session() -> None:
    """False if a bad hand-over ends the session, or a good one does not begin a new conversation that knows it."""
    world = Orchestra()
    world.add()
    world.unanswered = ("m1", "m2")
    world.facts(measure__context_percent=84.0)
    assert world.life().rotation is None
    world.facts(measure__context_percent=85.0)
    assert "handover.md" in world.of(GivePrompt)[-1].text
    world.seen()
    for text, says in ((GOOD + "m1", "m2"), ("short", "bytes"), (GOOD + "m1 m2", "")):
        world.files["handover.md"] = text
        answer = world.ask("session.handover", "ann", file="handover.md")
        assert answer["success"] is (not says)
        assert says in json.dumps(answer)
    life = world.life()
    assert (life.session, life.conversation, life.phase) == (2, 2, "starting")
    assert "handover.md" in world.of(GivePrompt)[-1].text
    assert life.rotation is not None
    assert world.ask("session.handover", "ann", file="handover.md")["success"]
    assert world.life().session == 2, "what the new session hands over at once is not what the old one was asked for"
    world.seen()
    assert world.life().rotation is None
    assert world.events("session.rotated")


def test_s1_requests_while_a_hand_over_is_written_do_not_end_the_session() -> None:
    """False if an agent that looks at its messages and state to write its hand-over is cut off, or one that goes on
    from prompt to prompt instead is not."""
    world = Orchestra()
    world.add()
    world.facts(measure__context_percent=85.0)
    for _ in range(10):
        world.wait(1)
        world.seen()
    assert world.life().session == 1
    world.files["handover.md"] = GOOD
    assert world.ask("session.handover", "ann", file="handover.md")["success"]
    assert world.life().session == 2
    world.seen()
    for percent in (10.0, 85.0):
        world.facts(measure__context_percent=percent)
    for _ in range(5):
        world.seen()
        world.deliver(PromptWanted("ann", "reminder", "go on"))
    assert world.life().session == 3
    assert dict(world.events("session.handed_over")[-1].attributes)["mechanical"] == "True"


def test_s2_a_rotation_without_hand_over_is_forced_with_a_mechanical_one() -> None:
    """False if an agent that refuses keeps its session for ever, or the next one is told nothing."""
    world = Orchestra()
    world.add()
    world.facts(measure__context_percent=96.0)
    assert world.life().rotation is not None
    world.seen()
    assert world.life().session == 2
    assert any(each.name == "handover.md" and "written by the engine" in each.text for each in world.of(WriteState))
    assert ".aism/handover.md" in world.of(GivePrompt)[-1].text


def test_s2_a_forced_rotation_interrupts_an_agent_that_ends_no_turn() -> None:
    """False if a forced rotation waits for ever for a request."""
    world = Orchestra()
    world.add()
    world.move("work")
    world.seen()
    world.facts(measure__context_percent=96.0)
    world.wait(119)
    assert world.life().session == 1
    world.wait(2)
    assert world.of(InterruptSession)
    assert world.life().session == 2


def test_rotation_stops_where_it_is_of_no_use() -> None:
    """False if a session that begins full is rotated again and again."""
    world = Orchestra()
    world.add()
    world.facts(measure__context_percent=96.0)
    world.seen()
    world.seen()
    world.facts(measure__context_percent=97.0)
    assert world.events("alarm.rotation_is_no_use")
    world.seen()
    world.wait(100)
    assert world.life().session == 2


def test_l4_what_was_lost_with_the_device_is_repeated() -> None:
    """False if an order that a device lost is not given again, or a session that runs is started twice."""
    world = Orchestra()
    world.add()
    world.deliver(PromptWanted("ann", "reminder", "x"))
    world.move("work")
    written = len(world.of(WriteState))
    world.deliver(LaunchersKnown((Running("ann", 1, 7),)), "launcher")
    assert len(world.of(LaunchSession)) == 1
    assert len(world.of(WriteState)) == written + 2
    world.deliver(LaunchersKnown(()), "launcher")
    assert world.life().phase in ("ready", "busy")
    world.wait(3)
    assert world.life().restarts == 1


def test_no_process_runs_before_the_bridge_has_admitted_its_token() -> None:
    """False if a start that waits for the bridge is launched, without its bus, since the launchers were restarted."""
    world = Orchestra(admits=False)
    world.ask("agent.add", agent="ann")
    world.deliver(LaunchersKnown(()), "launcher")
    assert world.of(LaunchSession) == []
    world.admits = True
    world.deliver(Resend(2))
    assert [each.bus for each in world.of(LaunchSession)] == ["unix:///bus?ns=t"]
    assert world.life().is_launched
    world.admits = False
    world.seen()
    world.ask("agent.restart", agent="ann")
    world.deliver(LaunchersKnown(()), "launcher")
    assert len(world.of(LaunchSession)) == 1


def test_a_session_that_should_not_run_is_ended() -> None:
    """False if a process of an earlier session goes on."""
    world = Orchestra()
    world.add()
    world.deliver(LaunchersReport((SessionUse("ann", 9, 1, 1, 1, 1), SessionUse("old", 1, 1, 1, 1, 1))), "launcher")
    assert [(each.agent, each.session) for each in world.of(EndSession)] == [("ann", 9), ("old", 1)]


def test_an_exit_is_noted_however_often_it_comes() -> None:
    """False if a repeated exit is a second crash, or is not noted."""
    world = Orchestra()
    world.add()
    world.exit()
    world.deliver(AgentExited("ann", 1, 1, 0, "exited"), "launcher")
    assert world.life().restarts == 1
    assert len(world.of(ForgetSession)) == 2


def test_a_bridge_that_lost_everything_gets_sessions_and_views_again() -> None:
    """False if a session that is alive is not admitted again."""
    world = Orchestra()
    world.add()
    before = len(world.of(Admit)), len(world.of(ViewChanged))
    world.deliver(Resend(2))
    assert (len(world.of(Admit)), len(world.of(ViewChanged))) == (before[0] + 1, before[1] + 1)


def test_the_last_wish_decides_what_comes_after_a_stop() -> None:
    """False if a start is done, or a stop, and lost, because the process that is stopping had not ended yet."""
    for op in ("agent.stop", "agent.remove"):
        world = Orchestra()
        world.add()
        world.obeys_end = False
        world.ask(op, agent="ann")
        assert world.ask("agent.start", agent="ann")["success"]
        world.exit(status=None, signal=15, reason="stopped")
        assert (world.life().phase, world.life().session) == ("starting", 2)
    for wants, phase in ((("stop bob",), "stopped"), (("stop bob", "start bob"), "starting")):
        world = Orchestra()
        world.add()
        world.ask("agent.add", agent="bob", role="helper")
        world.obeys_end = False
        world.ask("agent.restart", agent="bob")
        for want in wants:
            world.move("work", wants=(want,))
        world.exit("bob", status=None, signal=15, reason="stopped")
        assert world.life("bob").phase == phase


def test_removal_retires_the_agent_everywhere() -> None:
    """False if an agent that is removed is known anywhere."""
    world = Orchestra()
    world.add()
    assert world.ask("agent.remove", agent="ann")["success"]
    assert "ann" not in world.env.state.lives
    assert len(world.of(Retire)) == 2


def test_requests_are_answered_once_and_mistakes_change_nothing() -> None:
    """False if a repeat does something, or a refused request changes the state."""
    world = Orchestra()
    world.add()
    first = world.ask("agent.restart", request_id="x", agent="ann")
    sessions = world.life().session
    assert world.ask("agent.restart", request_id="x", agent="ann") == first
    assert world.life().session == sessions
    state = world.env.state.lives
    hints = {"no_command": ["aism agent add bob -- PROGRAM ARGUMENT..."], "no_agent": ["--agent NAME"]}
    for op, body, kind in (
        ("agent.add", {"agent": "ann"}, "conflict"),
        ("agent.add", {"agent": "../x"}, "usage"),
        ("agent.add", {"agent": "bob", "limits": {"memory": 1}}, "usage"),
        ("agent.add", {"agent": "bob", "isolation": "vm"}, "usage"),
        ("agent.add", {"agent": "bob", "command": "x"}, "usage"),
        ("agent.start", {"agent": "nobody"}, "unknown"),
        ("session.status", {}, "usage"),
        ("prompt.send", {"agent": "ann"}, "usage"),
    ):
        error = world.ask(op, **body)["error"]  # type: ignore[arg-type]
        assert error["kind"] == kind, op
        assert error["recovery_suggestions"] == hints.get(error["code"], error["recovery_suggestions"]), op
    assert world.env.state.lives == state


def test_a_message_wakes_an_idle_agent() -> None:
    """False if a message is not told."""
    world = Orchestra()
    world.add()
    world.move("idle", flags=("idle",))
    world.seen()
    world.deliver(PromptWanted("ann", "message", "You have 3 unread messages."))
    assert "3 unread" in world.of(GivePrompt)[-1].text


@given(st.text(), st.integers(1, 9))
def test_no_text_leaves_its_frame(text: str, number: int) -> None:
    """False if a text can end its prompt early, in any mode."""
    assert framed("line", number, text).count("\n") == 1
    *body, end, last = framed("block", number, text).split("\n")
    assert (end, last) == (END, "")
    assert END not in body
    line = framed("stream-json", number, text)
    assert line.count("\n") == 1
    assert json.loads(line)["type"] == "user"
    assert FOLD.strip() in framed("line", 1, "a\nb")


def test_times_are_terms() -> None:
    """False if a time is not that of the parameters."""
    world = Orchestra(replace(TERMS, start_ns=S, backoff_ns=S // 10))
    world.ask("agent.add", agent="ann")
    world.wait(1.01)
    assert world.life().restarts == 1
    world.wait(0.12)
    assert world.life().phase == "starting"


def test_a_prompt_in_flight_outlives_a_session_that_is_lost() -> None:
    """False if what a person wrote is gone with a session whose exit nobody reported."""
    world = Orchestra()
    world.add()
    world.ask("prompt.send", agent="ann", text="remember the milk")
    world.deliver(LaunchersKnown(()), "launcher")
    world.wait(10)
    world.seen()
    assert world.life().session == 2
    assert "remember the milk" in world.of(GivePrompt)[-1].text


def test_an_agent_that_works_while_its_pipe_is_full_is_not_stuck() -> None:
    """False if an agent is interrupted because its prompt finds no room, or the prompt is not ordered again."""
    world = Orchestra(has_room=False)
    world.ask("agent.add", agent="ann")
    for _ in range(10):
        world.seen()
        world.wait(100)
    assert not world.of(InterruptSession)
    orders = len(world.of(GivePrompt))
    world.deliver(LaunchersReport((SessionUse("ann", 1, 1, 1, 1, 1, given=0),)), "launcher")
    assert len(world.of(GivePrompt)) == orders + 1
    world.deliver(LaunchersReport((SessionUse("ann", 1, 1, 1, 1, 1, given=1),)), "launcher")
    assert world.life().flight is None


def test_a_move_that_is_known_before_the_first_sign_of_life_is_prompted() -> None:
    """False if a sign of life that comes late, as the bridge was restarted, costs the agent the prompt of its state."""
    world = Orchestra()
    world.ask("agent.add", agent="ann")
    world.move("work", is_own=True)
    world.seen()
    assert "You are now in state 'work'" in world.of(GivePrompt)[-1].text


def test_a_move_by_the_agent_is_an_effect_of_its_prompt() -> None:
    """False if a prompt waits for a sign that was lost with the bridge, or a move by others counts."""
    world = Orchestra()
    world.add()
    world.deliver(PromptWanted("ann", "person", "well?"))
    world.move("work")
    assert "well?" in world.of(GivePrompt)[-1].text
    world.move("rest", is_own=True)
    assert "You are now in state 'rest'" in world.of(GivePrompt)[-1].text
