"""The journal keeps exactly what was committed: any cut recovers the exact prefix, any flipped byte is found."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live_bridge.frames import FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES
from live_bridge.journal import Journal, JournalDamagedError, JournalError, JournalReader, JournalWriteError
from live_bridge.recovery import usable_snapshot
from live_bridge.snapshots import Snapshot, read_snapshots, write_snapshot

PAYLOADS = st.lists(st.binary(max_size=60), min_size=1, max_size=12)


def write(directory: Path, payloads: list[bytes], segment_bytes: int = 2**20) -> None:
    journal = Journal(directory, fsync="never", segment_bytes=segment_bytes)
    for payload in payloads:
        journal.append(payload)
        journal.commit(has_intents=False)
    journal.close()


def read(directory: Path) -> list[bytes]:
    return [frame.payload for frame in JournalReader(directory).frames()]


@settings(max_examples=60, deadline=None)
@given(PAYLOADS, st.integers(100, 400))
def test_what_was_appended_is_read_back_in_order_over_any_number_of_segments(tmp_path_factory, payloads, segment_bytes):
    directory = tmp_path_factory.mktemp("journal")
    write(directory, payloads, segment_bytes)
    write(directory, payloads, segment_bytes)
    frames = list(JournalReader(directory).frames())
    assert [frame.payload for frame in frames] == payloads * 2
    assert [frame.sequence for frame in frames] == list(range(1, 2 * len(payloads) + 1))
    middle = len(payloads)
    assert [frame.sequence for frame in JournalReader(directory).frames(middle)] == list(range(middle, 2 * middle + 1))


@settings(max_examples=60, deadline=None)
@given(PAYLOADS, st.data())
def test_any_cut_of_the_tail_recovers_the_exact_prefix_and_goes_on_from_there(tmp_path_factory, payloads, data):
    directory = tmp_path_factory.mktemp("journal")
    write(directory, payloads)
    path = directory / "segment-00000001.bsj"
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    ends = [SEGMENT_HEADER_BYTES]
    for payload in payloads:
        ends.append(ends[-1] + FRAME_HEADER_BYTES + len(payload))
    kept = max((index for index, end in enumerate(ends) if end <= cut), default=0)
    journal = Journal(directory, fsync="never")
    assert journal.torn_tail_bytes == cut - (ends[kept] if cut >= SEGMENT_HEADER_BYTES else 0)
    assert journal.append(b"after") == kept + 1
    journal.commit(has_intents=False)
    journal.close()
    assert read(directory) == [*payloads[:kept], b"after"]
    again = Journal(directory, fsync="never")
    assert again.torn_tail_bytes == 0, "what was torn is gone and not left behind the next record"
    again.close()


@settings(max_examples=120, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=2, max_size=6), st.data())
def test_any_flipped_byte_before_the_last_record_is_detected_and_refuses_to_open(tmp_path_factory, payloads, data):
    directory = tmp_path_factory.mktemp("journal")
    segment_bytes = data.draw(st.sampled_from([60, 150, 2**20]))
    write(directory, payloads, segment_bytes)
    paths = sorted(directory.glob("segment-*.bsj"))
    sizes = [path.stat().st_size for path in paths]
    last_record = FRAME_HEADER_BYTES + len(payloads[-1])
    place = data.draw(st.integers(0, sum(sizes) - last_record - 1))
    index = 0
    while place >= sizes[index]:
        place -= sizes[index]
        index += 1
    raw = bytearray(paths[index].read_bytes())
    raw[place] ^= data.draw(st.integers(1, 255))
    paths[index].write_bytes(raw)
    for attempt in (lambda: read(directory), lambda: Journal(directory)):
        with pytest.raises(JournalDamagedError) as caught:
            attempt()
        assert caught.value.first_bad.segment == paths[index].name
        assert caught.value.first_bad.offset <= place


def test_a_missing_segment_is_damage_wherever_it_was(tmp_path):
    for missing in (1, 2):
        directory = tmp_path / str(missing)
        write(directory, [bytes(40)] * 3, segment_bytes=60)
        (directory / f"segment-{missing:08d}.bsj").unlink()
        with pytest.raises(JournalDamagedError, match="segment order"):
            read(directory)


def test_records_of_two_journals_cannot_be_exchanged(tmp_path):
    write(tmp_path / "a", [b"a1", b"a2", b"a3"])
    write(tmp_path / "b", [b"b1", b"b2", b"b3"])
    a, b = (tmp_path / name / "segment-00000001.bsj" for name in "ab")
    second = SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES + 2
    mixed = a.read_bytes()[:second] + b.read_bytes()[second:]
    a.write_bytes(mixed)
    with pytest.raises(JournalDamagedError, match="chain"):
        read(tmp_path / "a")


def test_a_second_writer_is_refused_while_the_first_holds_the_journal(tmp_path):
    first = Journal(tmp_path)
    with pytest.raises(JournalError, match="open in another process"):
        Journal(tmp_path)
    first.close()
    Journal(tmp_path).close()


def test_a_trusted_sequence_skips_the_segments_before_it_and_continues_the_chain(tmp_path):
    write(tmp_path, [bytes([i]) * 30 for i in range(6)], segment_bytes=60)
    first = tmp_path / "segment-00000001.bsj"
    raw = bytearray(first.read_bytes())
    raw[60] ^= 1
    first.write_bytes(raw)
    with pytest.raises(JournalDamagedError):
        Journal(tmp_path)
    journal = Journal(tmp_path, trusted_sequence=4)
    assert journal.append(b"next") == 7
    journal.commit(has_intents=False)
    journal.close()
    assert [frame.payload for frame in JournalReader(tmp_path).frames(6)] == [bytes([5]) * 30, b"next"]


def test_the_fsync_policy_decides_which_commits_sync(tmp_path):
    synced = {}
    for policy in ("always", "intents", "never"):
        journal = Journal(tmp_path / policy, fsync=policy)
        for has_intents in (False, True, False):
            journal.append(b"x")
            journal.commit(has_intents)
        synced[policy] = len(journal.sync_ns)
        journal.close()
    assert synced == {"always": 3, "intents": 1, "never": 0}


FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    from live_bridge.journal import Journal, JournalWriteError
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    journal = Journal(Path(sys.argv[1]))
    journal.append(b"kept")
    journal.commit(True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
    journal.append(bytes(500))
    try:
        journal.commit(True)
    except JournalWriteError:
        pass
    else:
        sys.exit("the commit succeeded")
    try:
        journal.append(b"more")
    except JournalWriteError:
        journal.close()
        sys.exit(7)
"""


def test_a_full_disk_raises_keeps_the_earlier_records_and_stops_the_journal(tmp_path):
    code = textwrap.dedent(FULL_DISK)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == 7
    assert read(tmp_path) == [b"kept"]


KILLED = """
    import sys
    from pathlib import Path
    from live_bridge.journal import Journal
    journal = Journal(Path(sys.argv[1]), segment_bytes=200)
    for number in range(20):
        journal.append(number.to_bytes(30, "big"))
        journal.commit(True)
"""


@pytest.mark.parametrize(
    ("failpoint", "kept"),
    [
        ("journal.before_append:5", 4),
        ("journal.mid_append:5", 4),
        ("journal.after_append:5", 5),
        ("journal.mid_rotation:3", None),
    ],
)
def test_a_killed_writer_leaves_an_exact_prefix(tmp_path, failpoint, kept):
    environment = os.environ | {"BOOKSWARM_FAILPOINT": failpoint}
    code = textwrap.dedent(KILLED)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    journal = Journal(tmp_path)
    numbers = [int.from_bytes(payload, "big") for payload in read(tmp_path)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) == kept or kept is None
    assert journal.append(b"next") == len(numbers) + 1
    journal.close()


def test_a_record_above_the_size_limit_is_refused(tmp_path):
    journal = Journal(tmp_path)
    with pytest.raises(ValueError, match="above the journal's"):
        journal.append(bytes(2**24 + 1))
    assert journal.append(b"x") == 1
    journal.close()


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=50), st.data())
def test_a_damaged_snapshot_is_passed_over_and_the_one_before_it_taken(tmp_path_factory, payload, data):
    directory = tmp_path_factory.mktemp("snapshots")
    for sequence in (3, 5, 9):
        path = write_snapshot(directory, Snapshot(sequence, bytes(16), payload))
    assert [snapshot.sequence for snapshot in read_snapshots(directory)] == [9, 5]
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 255
    path.write_bytes(raw)
    assert read_snapshots(directory) == [Snapshot(5, bytes(16), payload)]


def test_a_snapshot_counts_only_where_the_journals_chain_confirms_it(tmp_path):
    write(tmp_path, [bytes([number]) for number in range(8)], segment_bytes=150)
    digests = {frame.sequence: frame.digest for frame in JournalReader(tmp_path).frames()}
    write_snapshot(tmp_path, Snapshot(3, digests[3], b"right"))
    write_snapshot(tmp_path, Snapshot(5, digests[4], b"of another journal"))
    assert usable_snapshot(tmp_path) == Snapshot(3, digests[3], b"right")
    write_snapshot(tmp_path, Snapshot(9, digests[8], b"beyond the end"))
    assert usable_snapshot(tmp_path) is None, "only the last two are kept"
    write_snapshot(tmp_path, Snapshot(8, digests[8], b"the end"))
    assert usable_snapshot(tmp_path) == Snapshot(8, digests[8], b"the end")


def test_writing_after_a_failure_is_refused(tmp_path):
    journal = Journal(tmp_path)
    journal.append(b"x")
    os.close(journal._descriptor)
    with pytest.raises(JournalWriteError):
        journal.commit(True)
    with pytest.raises(JournalWriteError):
        journal.append(b"y")
    journal._descriptor = -1
    journal.close()
