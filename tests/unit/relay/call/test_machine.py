"""The call machine: its races, and what holds whatever happens."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipis.model import CallState
from sipis.relay.call import (
    ELAPSED,
    AbandonApp,
    AckApp,
    Answer,
    ByeApp,
    ByeProvider,
    Call,
    CancelApp,
    Command,
    Event,
    InviteApp,
    Kind,
    Policy,
    Push,
    Record,
    Release,
    Respond,
    StartTimer,
    State,
    StopPush,
    StopTimer,
    TellEnd,
    Timer,
)


def play(call: Call, *kinds: Kind | Event) -> list[Command]:
    """Feed one event after another; what the last one made happen."""
    commands: list[Command] = []
    for kind in kinds:
        commands = call.feed(kind if isinstance(kind, Event) else Event(kind, call.facts.claim))
    return commands


def a_call(*kinds: Kind | Event, policy: Policy | None = None) -> Call:
    call = Call(policy or Policy())
    play(call, *kinds)
    return call


def responses(commands: list[Command]) -> list[tuple[int, str | None]]:
    return [(one.status, one.push_status) for one in commands if isinstance(one, Respond)]


def statuses(commands: list[Command]) -> list[int]:
    return [one.status for one in commands if isinstance(one, Respond)]


class TestRinging:
    def test_a_sleeping_app_is_pushed_at_once_and_before_anything_is_recorded(self) -> None:
        commands = play(Call(Policy()), Kind.CALLED_ASLEEP)
        assert commands[:3] == [Respond(100), Push(), Record(CallState.RINGING)]
        assert StartTimer(Timer.REACT, 20.0) in commands

    def test_a_connected_app_is_called_on_its_flow_without_a_push(self) -> None:
        commands = play(Call(Policy()), Kind.CALLED_CONNECTED)
        assert InviteApp(1) in commands
        assert Push() not in commands
        assert StartTimer(Timer.SILENCE, 1.0) in commands

    def test_a_connected_app_that_stays_silent_for_a_second_is_pushed_as_well(self) -> None:
        call = a_call(Kind.CALLED_CONNECTED)
        assert play(call, Kind.SILENCE_ELAPSED) == [Push()]
        assert play(call, Kind.SILENCE_ELAPSED) == []

    def test_a_connected_app_that_rings_is_not_pushed(self) -> None:
        call = a_call(Kind.CALLED_CONNECTED)
        assert StopTimer(Timer.SILENCE) in play(call, Kind.RANG)
        assert call.facts.pushed.name == "NOT"

    def test_an_app_on_a_quiet_flow_is_called_and_pushed_together(self) -> None:
        commands = play(Call(Policy()), Kind.CALLED_QUIET)
        assert Push() in commands
        assert InviteApp(1) in commands

    @pytest.mark.parametrize(
        ("ring", "expected"),
        [
            ("now", ["Alerting-Device", "Push-Notification-Sent", "Device-Making-Progress"]),
            ("push-accepted", ["Push-Notification-Sent", "Device-Making-Progress"]),
            ("device", ["Device-Making-Progress"]),
        ],
    )
    def test_the_caller_hears_ringing_from_the_step_that_the_policy_names(
        self, ring: str, expected: list[str]
    ) -> None:
        call = Call(Policy(ring=ring))  # type: ignore[arg-type]
        commands = [
            command
            for kind in (Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED, Kind.ACCEPT, Kind.CAME, Kind.RANG)
            for command in play(call, kind)
        ]
        assert [push for status, push in responses(commands) if status == 180] == expected

    def test_without_progress_headers_the_caller_gets_one_plain_180(self) -> None:
        call = Call(Policy(ring="now", progress=False))
        commands = [
            command
            for kind in (Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED, Kind.CAME, Kind.RANG)
            for command in play(call, kind)
        ]
        assert responses(commands) == [(100, None), (180, None)]

    def test_progress_never_goes_back_when_the_push_is_accepted_late(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME)
        assert responses(play(call, Kind.PUSH_ACCEPTED)) == []

    def test_the_180_is_repeated_as_long_as_the_call_rings(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED)
        for _ in range(3):
            commands = play(call, Kind.REPEAT_ELAPSED)
            assert responses(commands) == [(180, "Push-Notification-Sent")]
            assert StartTimer(Timer.REPEAT, 50.0) in commands

    def test_the_repeat_comes_at_least_every_minute(self) -> None:
        assert Policy().repeat_every < 60

    @pytest.mark.parametrize("state", [State.CALLING, State.RINGING], ids=lambda one: one.value)
    def test_an_app_that_rings_after_a_late_first_sign_keeps_its_invite_when_it_registers_again(
        self, state: State
    ) -> None:
        came = [Kind.CAME] if state is State.RINGING else []
        first = Kind.CALLED_ASLEEP if came else Kind.CALLED_QUIET
        call = a_call(first, *came, Kind.SILENCE_ELAPSED)
        assert call.state is state
        play(call, Kind.RANG)
        assert play(call, Kind.CAME) == []


class TestACancelThatDoesNotArrive:
    @pytest.mark.parametrize("end", [Kind.CLEAR_ELAPSED, Kind.LOST], ids=lambda one: one.name)
    @pytest.mark.parametrize("called", [Kind.CALLED_CONNECTED, Kind.CALLED_QUIET])
    def test_a_phone_that_rings_on_a_dead_flow_is_told_by_push(
        self, called: Kind, end: Kind
    ) -> None:
        call = a_call(called, Kind.RANG)
        assert TellEnd(CallState.ELSEWHERE) not in play(
            call, Event(Kind.CANCEL, ending=CallState.ELSEWHERE)
        )
        assert TellEnd(CallState.ELSEWHERE) in play(call, end)
        assert call.over

    def test_a_phone_that_has_changed_networks_since_is_told_at_once(self) -> None:
        call = a_call(Kind.CALLED_CONNECTED, Kind.RANG, Kind.CAME)
        commands = play(call, Kind.CANCEL)
        assert CancelApp(1) in commands
        assert TellEnd(CallState.CANCELLED) in commands
        assert TellEnd(CallState.CANCELLED) not in play(call, Kind.CLEAR_ELAPSED)

    @pytest.mark.parametrize("last", [Kind.REFUSED, Kind.DECLINED, Kind.ANSWERED])
    def test_a_phone_that_has_seen_the_cancel_is_not_told_twice(self, last: Kind) -> None:
        call = a_call(Kind.CALLED_CONNECTED, Kind.RANG, Kind.CANCEL)
        assert not [one for one in play(call, last) if isinstance(one, TellEnd)]

    def test_a_phone_that_has_seen_the_cancel_is_not_told_when_an_older_invite_dies(self) -> None:
        call = a_call(Kind.CALLED_QUIET, Kind.SILENCE_ELAPSED, Kind.CAME, Kind.RANG, Kind.CANCEL)
        play(call, Kind.REFUSED)
        assert call.facts.unsettled == {1}
        assert not [one for one in play(call, Kind.CLEAR_ELAPSED) if isinstance(one, TellEnd)]

    def test_who_declined_over_http_is_told_nothing(self) -> None:
        call = a_call(Kind.CALLED_CONNECTED, Kind.RANG, Kind.DECLINE)
        assert not [one for one in play(call, Kind.CLEAR_ELAPSED) if isinstance(one, TellEnd)]


class TestNobodyAnswers:
    def test_no_reaction_ends_in_480_that_says_why_and_a_missed_call(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED)
        commands = play(call, Kind.REACT_ELAPSED)
        assert commands[0] == Respond(480, reason="No-Response-From-Device")
        assert Record(CallState.MISSED) in commands
        assert TellEnd(CallState.MISSED) in commands
        assert call.over

    def test_the_first_sign_of_a_device_replaces_t1_by_t2(self) -> None:
        commands = play(a_call(Kind.CALLED_ASLEEP), Kind.ACCEPT)
        assert StopTimer(Timer.REACT) in commands
        assert StartTimer(Timer.ANSWER, 60.0) in commands

    def test_a_ringing_app_that_nobody_answers_is_cancelled_and_the_caller_refused(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.RANG)
        commands = play(call, Kind.ANSWER_ELAPSED)
        assert statuses(commands) == [480]
        assert CancelApp(1) in commands
        assert not [one for one in commands if isinstance(one, TellEnd)]

    def test_the_status_for_no_answer_follows_the_policy(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, policy=Policy(no_answer_status=408))
        assert statuses(play(call, Kind.REACT_ELAPSED)) == [408]

    def test_when_no_target_can_be_reached_the_caller_is_refused_at_once(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP)
        assert statuses(play(call, Kind.PUSH_FAILED)) == [480]
        assert call.over

    def test_a_failed_push_does_not_end_a_call_that_a_flow_still_carries(self) -> None:
        call = a_call(Kind.CALLED_QUIET, Kind.PUSH_FAILED)
        assert not call.over
        assert statuses(play(call, Kind.LOST)) == [480]

    def test_a_connected_app_whose_flow_is_lost_is_pushed(self) -> None:
        call = a_call(Kind.CALLED_CONNECTED)
        assert Push() in play(call, Kind.LOST)
        assert call.state is State.WAKING

    def test_an_app_that_wakes_but_never_connects_is_given_up_after_t2(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED, Kind.ACCEPT)
        assert statuses(play(call, Kind.ANSWER_ELAPSED)) == [480]

    def test_a_destroyed_instance_ends_its_ringing_call(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME)
        commands = play(call, Kind.GONE)
        assert statuses(commands) == [480]
        assert CancelApp(1) in commands

    def test_a_stopping_server_ends_what_rings_and_leaves_what_runs(self) -> None:
        ringing = a_call(Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED)
        assert statuses(play(ringing, Kind.DRAINED)) == [480]
        talking = a_call(Kind.CALLED_CONNECTED, Kind.ANSWERED, Kind.ACK)
        assert play(talking, Kind.DRAINED) == []


class TestDeclining:
    @pytest.mark.parametrize("kinds", [(), (Kind.PUSH_ACCEPTED,), (Kind.CAME, Kind.RANG)])
    def test_a_decline_over_http_is_the_configured_busy(self, kinds: tuple[Kind, ...]) -> None:
        call = a_call(Kind.CALLED_ASLEEP, *kinds)
        commands = play(call, Kind.DECLINE)
        assert statuses(commands) == [486]
        assert Record(CallState.DECLINED) in commands

    def test_a_decline_over_sip_is_the_configured_status(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, policy=Policy(decline_status=603))
        assert statuses(play(call, Event(Kind.DECLINED, 1, 486))) == [603]

    def test_a_decline_takes_back_a_push_that_has_not_left(self) -> None:
        assert StopPush() in play(a_call(Kind.CALLED_ASLEEP), Kind.DECLINE)

    def test_what_the_app_cannot_do_is_told_as_it_is(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME)
        assert Respond(488, relayed=True) in play(call, Event(Kind.REFUSED, 1, 488))

    @pytest.mark.parametrize("status", [302, 401, 404, 407, 408, 410, 484, 485, 487, 503, 604])
    def test_a_final_that_would_mislead_the_caller_becomes_480(self, status: int) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME)
        assert statuses(play(call, Event(Kind.REFUSED, 1, status))) == [480]


class TestCancelling:
    def test_a_cancel_before_the_push_has_left_takes_it_back(self) -> None:
        commands = play(a_call(Kind.CALLED_ASLEEP), Kind.CANCEL)
        assert statuses(commands) == [487]
        assert StopPush() in commands

    def test_a_cancel_after_the_push_tells_the_ringing_phone(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED)
        assert TellEnd(CallState.CANCELLED) in play(call, Kind.CANCEL)

    @pytest.mark.parametrize("ending", [CallState.ELSEWHERE, CallState.DECLINED])
    def test_the_reason_of_the_cancel_is_what_a_late_waker_hears(self, ending: CallState) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED)
        commands = play(call, Event(Kind.CANCEL, ending=ending))
        assert Record(ending) in commands
        assert TellEnd(ending) in commands

    def test_an_app_that_has_the_invite_gets_cancel_and_no_push(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.RANG)
        commands = play(call, Kind.CANCEL)
        assert CancelApp(1) in commands
        assert not [one for one in commands if isinstance(one, TellEnd)]
        assert call.state is State.CLEARING

    def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.RANG, Kind.CANCEL)
        commands = play(call, Kind.ANSWERED)
        assert commands == [AckApp(1), ByeApp(1), StopTimer(Timer.CLEAR), Release()]

    def test_a_cancelled_app_that_never_gives_its_final_is_abandoned(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.CANCEL)
        assert play(call, Kind.CLEAR_ELAPSED) == [AbandonApp(1), Release()]

    def test_a_caller_may_end_the_early_dialog_with_bye(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.PUSH_ACCEPTED)
        assert statuses(play(call, Kind.PROVIDER_BYE)) == [487]

    def test_a_cancel_that_comes_after_the_answer_changes_nothing(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.ANSWERED)
        assert play(call, Kind.CANCEL) == []


class TestWakingTwice:
    def test_a_second_registration_brings_no_second_invite_while_the_first_rings(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.RANG)
        assert play(call, Kind.CAME) == []

    def test_a_second_flow_gets_no_invite_while_the_first_may_still_answer(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME)
        assert play(call, Kind.CAME) == []

    def test_the_newest_flow_gets_the_invite_when_the_first_stays_silent(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.CAME)
        commands = play(call, Kind.SILENCE_ELAPSED)
        assert commands[:2] == [CancelApp(1), InviteApp(2)]

    def test_a_flow_that_comes_after_the_silence_gets_the_invite_at_once(self) -> None:
        call = a_call(Kind.CALLED_CONNECTED, Kind.SILENCE_ELAPSED)
        assert InviteApp(2) in play(call, Kind.CAME)

    def test_a_lost_flow_hands_the_invite_to_the_newer_one(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.RANG, Kind.CAME)
        assert InviteApp(2) in play(call, Kind.LOST)

    def test_an_answer_on_the_given_up_flow_is_acknowledged_and_ended(self) -> None:
        call = a_call(Kind.CALLED_CONNECTED, Kind.SILENCE_ELAPSED, Kind.CAME)
        assert play(call, Event(Kind.ANSWERED, 1)) == [AckApp(1), ByeApp(1)]
        assert call.state is State.RINGING

    def test_a_call_is_not_over_while_a_given_up_invite_may_still_be_answered(self) -> None:
        call = a_call(Kind.CALLED_CONNECTED, Kind.SILENCE_ELAPSED, Kind.CAME)
        play(call, Event(Kind.DECLINED, 2, 486))
        assert call.state is State.CLEARING
        assert play(call, Event(Kind.LOST, 1))[-1] == Release()


class TestTalking:
    def test_the_provider_gets_200_only_with_the_apps_answer(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.ACCEPT)
        assert not [one for one in play(call, Kind.ACCEPT) if isinstance(one, Answer)]
        play(call, Kind.CAME, Kind.RANG)
        assert Answer(1) in play(call, Kind.ANSWERED)

    def test_the_app_is_acknowledged_with_the_providers_ack(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.ANSWERED)
        assert play(call, Kind.ACK) == [AckApp(1)]
        assert call.joined

    def test_a_bye_ends_the_other_leg(self) -> None:
        script = (Kind.CALLED_ASLEEP, Kind.CAME, Kind.ANSWERED, Kind.ACK)
        assert ByeApp(1) in play(a_call(*script), Kind.PROVIDER_BYE)
        assert ByeProvider() in play(a_call(*script), Kind.APP_BYE)

    def test_a_bye_before_the_ack_acknowledges_the_app_before_ending_it(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.ANSWERED)
        commands = play(call, Kind.PROVIDER_BYE)
        assert commands[:2] == [AckApp(1), ByeApp(1)]

    def test_an_app_that_hangs_up_before_the_ack_waits_for_it(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.ANSWERED)
        assert ByeProvider() not in play(call, Kind.APP_BYE)
        assert ByeProvider() in play(call, Kind.ACK)

    def test_a_missing_ack_ends_both_legs(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.ANSWERED)
        commands = play(call, Kind.ACK_MISSING)
        assert commands[:3] == [AckApp(1), ByeApp(1), ByeProvider()]

    def test_a_leg_that_vanished_ends_the_call(self) -> None:
        script = (Kind.CALLED_ASLEEP, Kind.CAME, Kind.ANSWERED, Kind.ACK)
        assert ByeProvider() in play(a_call(*script), Kind.APP_LOST)
        assert ByeApp(1) in play(a_call(*script), Kind.PROVIDER_LOST)

    def test_the_longest_call_ends(self) -> None:
        call = a_call(Kind.CALLED_ASLEEP, Kind.CAME, Kind.ANSWERED, Kind.ACK)
        commands = play(call, Kind.LONGEST_ELAPSED)
        assert {ByeProvider(), ByeApp(1)} <= set(commands)

    def test_a_call_found_after_a_restart_can_be_ended_from_either_side(self) -> None:
        call = a_call(Event(Kind.RESUMED, claim=1))
        assert call.joined
        assert ByeApp(1) in play(call, Kind.PROVIDER_BYE)


def finals(commands: list[Command]) -> int:
    return sum(
        isinstance(one, Answer) or (isinstance(one, Respond) and one.status >= 200)
        for one in commands
    )


STARTS = st.sampled_from([Kind.CALLED_ASLEEP, Kind.CALLED_QUIET, Kind.CALLED_CONNECTED])
FED = [kind for kind in Kind if kind.value <= Kind.LONGEST_ELAPSED.value]
EVENTS = st.lists(
    st.builds(
        Event,
        kind=st.sampled_from(FED),
        claim=st.integers(0, 4),
        status=st.sampled_from([302, 404, 480, 486, 487, 488, 500, 503, 603]),
    ),
    max_size=30,
)
ENDINGS = [
    Kind.DRAINED,
    Kind.CANCEL,
    Kind.REACT_ELAPSED,
    Kind.ANSWER_ELAPSED,
    Kind.ACK_MISSING,
    Kind.PROVIDER_BYE,
    Kind.CLEAR_ELAPSED,
]


@settings(max_examples=400, deadline=None)
@given(STARTS, EVENTS)
def test_whatever_happens_the_promises_hold(start: Kind, events: list[Event]) -> None:
    call = Call(Policy())
    commands = call.feed(Event(start))
    for event in events:
        was_over = call.over
        step = call.feed(event)
        assert not (was_over and step), "a command after the end"
        commands += step
    for kind in ENDINGS:
        commands += call.feed(Event(kind))
    assert call.over
    assert finals(commands) == 1
    assert commands.count(Release()) == 1
    assert commands[-1] == Release()
    each = Counter(commands)
    for claim in range(1, call.facts.claim + 1):
        assert each[InviteApp(claim)] == 1, "never a second INVITE for one claim"
        assert each[ByeApp(claim)] <= 1
        assert each[CancelApp(claim)] <= 1
        assert each[AckApp(claim)] <= 1
    assert each[Push()] <= 1
    assert each[ByeProvider()] <= 1


@settings(max_examples=200, deadline=None)
@given(STARTS, EVENTS)
def test_only_the_timers_of_a_state_run_in_it(start: Kind, events: list[Event]) -> None:
    call = Call(Policy())
    running: set[Timer] = set()
    for event in [Event(start), *events]:
        for timer, kind in ELAPSED.items():
            if event.kind is kind:
                running.discard(timer)
        for command in call.feed(event):
            if isinstance(command, StartTimer):
                running.add(command.timer)
            if isinstance(command, StopTimer):
                assert command.timer in running
                running.discard(command.timer)
        assert running == call.facts.running
        if call.over:
            assert not running


@settings(max_examples=200, deadline=None)
@given(STARTS, EVENTS)
def test_every_waiting_call_has_a_timer_that_will_end_it(start: Kind, events: list[Event]) -> None:
    call = Call(Policy())
    for event in [Event(start), *events]:
        call.feed(event)
        guard = {
            State.WAKING: Timer.REACT,
            State.CALLING: Timer.REACT,
            State.AWAITED: Timer.ANSWER,
            State.RINGING: Timer.ANSWER,
            State.TALKING: Timer.LONGEST,
            State.CLEARING: Timer.CLEAR,
        }.get(call.state)
        fired = event.kind in ELAPSED.values()
        assert guard is None or fired or guard in call.facts.running
