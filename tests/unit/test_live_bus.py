"""The event bus and the inbox: nothing is lost or doubled, slow readers are told, a full inbox refuses at once."""

from threading import Thread

import pytest

from live_bridge.bus import Bus
from live_bridge.inbox import INBOX_FULL, SESSION_ENDED, Inbox
from live_bridge.journal import Journal
from live_bridge.records import encode
from live_bridge.types import CancelRequest, Command, CommandResult, Control, Envelope, SubscriptionDropped, Timer


def timer(number: int) -> Timer:
    return Timer(number, number)


class Writer:
    """A journal and its bus, as the session drives them."""

    def __init__(self, directory, capacity: int = 100) -> None:
        self.journal = Journal(directory, fsync="never")
        self.bus = Bus(directory, self.journal.next_sequence, capacity)

    def write(self, *numbers: int) -> None:
        envelopes = [Envelope(self.journal.append(encode(timer(number))), timer(number)) for number in numbers]
        self.journal.commit(False)
        self.bus.publish(envelopes)


def drained(subscription) -> list:
    items = []
    while (item := subscription.get(0.0)) is not None:
        items.append(item)
    return items


@pytest.fixture
def writer(tmp_path):
    made = Writer(tmp_path)
    yield made
    made.journal.close()


def test_a_subscriber_from_any_record_gets_history_and_then_live_records_without_hole_or_repeat(writer):
    writer.write(1, 2, 3)
    for start in (1, 2, 3, 4, 0):
        subscription = writer.bus.subscribe(start)
        if start == 1:
            assert subscription.get(0.0).sequence == 1
        writer.write(9)
        last = writer.journal.next_sequence - 1
        got = [item.sequence for item in drained(subscription)]
        first = {0: last, 1: 2}.get(start, start)
        assert got == list(range(first, last + 1))
        subscription.close()
        assert subscription.ended


def test_a_reader_in_another_thread_is_woken_and_told_when_the_session_ends(writer):
    subscription = writer.bus.subscribe(1)
    received = []

    def read():
        while not subscription.ended:
            item = subscription.get(30.0)
            if item is not None:
                received.append(item.body.event_ns)

    thread = Thread(target=read)
    thread.start()
    for number in range(50):
        writer.write(number)
    writer.bus.end()
    thread.join(30.0)
    assert not thread.is_alive()
    assert received == list(range(50))


def test_a_slow_reader_is_dropped_told_where_to_continue_and_holds_nobody_up(tmp_path):
    writer = Writer(tmp_path, capacity=3)
    slow, quick = writer.bus.subscribe(), writer.bus.subscribe()
    seen = []
    for number in range(10):
        writer.write(number)
        seen += [item.sequence for item in drained(quick)]
    assert seen == list(range(1, 11))
    items = drained(slow)
    assert [item.sequence for item in items[:-1]] == [1, 2, 3]
    assert items[-1] == SubscriptionDropped(4, "more than 3 records behind")
    assert (slow.ended, writer.bus.dropped) == (True, 1)
    again = writer.bus.subscribe(items[-1].next_sequence)
    assert [item.sequence for item in drained(again)] == list(range(4, 11))
    writer.journal.close()


def test_a_subscription_beyond_the_next_record_or_below_zero_is_refused(writer):
    writer.write(1)
    for start in (-1, 3):
        with pytest.raises(ValueError, match=r"outside 0\.\.2"):
            writer.bus.subscribe(start)


def test_a_subscription_after_the_end_reads_the_whole_history_and_ends(writer):
    writer.write(1, 2)
    writer.bus.end()
    subscription = writer.bus.subscribe(1)
    assert [item.sequence for item in drained(subscription)] == [1, 2]
    assert subscription.ended


def request(number: int) -> CancelRequest:
    return CancelRequest(str(number), "x", "tester")


def test_a_full_inbox_answers_at_once_and_still_takes_the_kill_switch_which_goes_first():
    inbox = Inbox(2)
    waiting = [inbox.put(request(number)) for number in range(3)]
    kill = inbox.put(Control(Command.KILL, "tester", "", 0, 0), urgent=True)
    assert waiting[2].result(0) == CommandResult(False, 0, "", INBOX_FULL)
    assert not waiting[0].done()
    taken = [inbox.take() for _ in range(4)]
    assert [letter and letter.future for letter in taken] == [kill, waiting[0], waiting[1], None]


def test_a_closed_inbox_turns_away_what_waits_and_what_comes():
    inbox = Inbox(2)
    waiting = inbox.put(request(1))
    inbox.close()
    assert waiting.result(0).reason == SESSION_ENDED
    assert inbox.put(request(2), urgent=True).result(0).reason == SESSION_ENDED
