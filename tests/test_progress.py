"""What a person sees: on a terminal, in a file, and where nobody is there to see it any more."""

import errno
import fcntl
import io
import os
import pty
import struct
import termios
import tty
from collections.abc import Callable, Iterator
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefline.pipeline.progress import Progress, cut, format_duration, format_number

CLEAR = "\r\x1b[K"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def looks(self) -> list[str]:
        """Return all that was drawn since the last look."""
        drawn = self.getvalue().split(CLEAR)[1:]
        self.seek(0)
        self.truncate()
        return drawn


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("TERM", "xterm")
    return Clock()


def advance(progress: Progress, clock: Clock, steps: int, seconds: float, *, start: int = 0, total: int = 1000) -> None:
    for step in range(start + 1, start + steps + 1):
        clock.now += seconds
        progress.update(step, total, {"loss": 0.6931, "accuracy": 0.71, "margin": None})


# --- on a terminal ---


def test_a_terminal_shows_one_line_with_pace_time_left_and_values(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress("train-reward", terminal, clock=clock)
    progress.update(100, 1000)
    advance(progress, clock, 20, 0.25, start=100)  # 4 steps a second; 880 are left, which takes 220 s
    assert terminal.looks()[-1] == "train-reward  120/1,000  4 min left  loss 0.693  accuracy 0.71  4 steps/s"


def test_a_line_is_drawn_ten_times_a_second_at_most_and_at_the_last_step(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress("x", terminal, clock=clock)
    advance(progress, clock, 1000, 0.001)
    drawn = terminal.looks()
    assert 9 <= len(drawn) <= 11
    assert drawn[-1].startswith("x  1,000/1,000  ")
    assert "left" not in drawn[-1]


def test_what_is_told_stays_above_the_line_which_is_gone_at_the_end(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress("x", terminal, clock=clock)
    progress.update(1, 3)
    progress.tell("goes on after step 1")
    progress.close()
    progress.close()
    progress.update(2, 3)
    progress.tell("the end")
    assert terminal.getvalue() == f"{CLEAR}x  1/3{CLEAR}goes on after step 1\nx  1/3{CLEAR}x  1/3\nthe end\n"


def test_what_a_terminal_would_obey_is_shown_as_its_code(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress("a\x1bb", terminal, clock=clock)
    progress.update(1, None, {"lo\nss\u202e": 1.0})
    progress.tell("one\x07\ntwo")
    assert terminal.looks()[0] == "a\\u001bb  1 steps  lo\\u000ass\\u202e 1"
    progress.tell("one\x07\ntwo")
    assert terminal.looks()[0].startswith("one\\u0007\ntwo\n")


def test_a_line_leaves_the_last_column_free_and_counts_wide_characters_twice(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress("報酬モデル", terminal, clock=clock, width=12)
    progress.update(1, 10)
    assert terminal.looks() == ["報酬モデル"]  # 5 wide ones: 10 columns of 12, and no room for the numbers
    assert cut("e\u0301e\u0301", 2) == "e\u0301e\u0301"
    assert cut("報酬", 3) == "報"


def test_another_unit_is_counted_at_its_own_pace(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress("copy", terminal, clock=clock, unit="MiB")
    progress.update(0, 4096)
    clock.now += 2
    progress.update(512, 4096)
    assert terminal.looks()[-1] == "copy  512/4,096  15 s left  256 MiB/s"
    clock.now += 2
    progress.update(600, None, unit="files")
    assert terminal.looks()[-1] == "copy  600 files"


def test_the_pace_is_that_of_the_recent_past_and_of_this_process(clock: Clock) -> None:
    terminal = Terminal()
    progress = Progress("x", terminal, clock=clock)
    progress.update(500, 1000)
    advance(progress, clock, 1, 1.0, start=500)
    assert terminal.looks()[-1].endswith("  1 steps/s")  # not 501
    advance(progress, clock, 100, 0.1, start=501)  # 10 s of 10 steps/s, after 1 s of 1
    advance(progress, clock, 40, 1.0, start=601)  # 40 s of 1 step/s, 30 of which count
    assert "  641/1,000  6 min left" in terminal.looks()[-1]
    advance(progress, clock, 2, 100.0, start=641)  # slower than the window is long
    assert terminal.looks()[-1].endswith("  0.01 steps/s")
    clock.now += 1
    progress.update(0, 10)  # something new
    assert terminal.looks()[-1] == "x  0/10"


# --- elsewhere ---


def test_a_file_gets_a_line_after_ten_seconds_then_ever_fewer_and_the_last_step(clock: Clock) -> None:
    file = io.StringIO()
    progress = Progress("x", file, clock=clock)
    began = clock.now
    written: list[float] = []
    for step in range(1, 1201):
        clock.now += 1
        before = file.getvalue()
        progress.update(step, 2000)
        if file.getvalue() != before:
            written.append(clock.now - began)
    assert written == [10, 40, 100, 220, 460, 940]
    progress.tell("stopped")
    progress.close()
    lines = file.getvalue().splitlines()
    assert lines[0] == "x  10/2,000  33 min left  1 steps/s"
    assert lines[-2:] == ["stopped", "x  1,200/2,000  13 min left  1 steps/s"]
    assert "\x1b" not in file.getvalue()


def test_a_last_line_is_not_written_twice_and_none_where_nothing_was_done(clock: Clock) -> None:
    file = io.StringIO()
    Progress("x", file, clock=clock).close()
    progress = Progress("x", file, clock=clock)
    clock.now += 10
    progress.update(1, 1)
    progress.close()
    assert file.getvalue() == "x  1/1\n"


def test_a_dumb_terminal_is_written_to_as_a_file_is(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    progress = Progress("x", terminal, clock=clock)
    progress.update(1, 2)
    progress.close()
    assert terminal.getvalue() == "x  1/2\n"


# --- where nobody is there ---


def use(progress: Progress, clock: Clock) -> None:
    """Do all that can be done."""
    for step in range(5):
        clock.now += 400
        progress.update(step, 5, {"loss": 1.0})
        progress.tell("something")
    progress.close()


class Broken(io.StringIO):
    def __init__(self, failure: Callable[[], BaseException], *, terminal: bool) -> None:
        super().__init__()
        self.failure = failure
        self.terminal = terminal
        self.calls = 0

    def isatty(self) -> bool:
        return self.terminal

    def write(self, _: str) -> int:
        self.calls += 1
        raise self.failure()


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    "failure",
    [
        lambda: OSError(errno.EIO, "Input/output error"),
        lambda: BrokenPipeError(errno.EPIPE, "Broken pipe"),
        lambda: ValueError("I/O operation on closed file"),
    ],
)
def test_a_stream_that_is_gone_is_not_written_to_again(
    clock: Clock, failure: Callable[[], BaseException], terminal: bool
) -> None:
    stream = Broken(failure, terminal=terminal)
    use(Progress("x", stream, clock=clock), clock)
    assert stream.calls == 1


def test_no_stream_and_a_closed_one_are_nobody(clock: Clock) -> None:
    use(Progress("x", None, clock=clock), clock)
    closed = io.StringIO()
    closed.close()
    use(Progress("x", closed, clock=clock), clock)


def test_a_full_disk_stops_nothing(clock: Clock) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    with io.TextIOWrapper(io.FileIO(descriptor, "w"), write_through=True) as full:
        use(Progress("x", full, clock=clock), clock)


def test_a_disk_that_has_room_again_gets_the_next_line(clock: Clock) -> None:
    class Filling(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(text)

    file = Filling()
    progress = Progress("x", file, clock=clock)
    progress.tell("lost")
    file.full = False
    progress.tell("written")
    assert file.getvalue() == "written\n"


def test_a_terminal_that_lacks_a_character_shows_a_question_mark(clock: Clock) -> None:
    raw = io.BytesIO()
    progress = Progress("Prüfung", io.TextIOWrapper(raw, encoding="ascii"), clock=clock)
    progress.tell("fünf")
    progress.update(1, 1)
    progress.close()
    assert raw.getvalue() == b"f?nf\nPr?fung  1/1\n"


# --- a real terminal ---


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """Both ends of a terminal of 30 columns."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    stream = open(theirs, "w", encoding="utf-8")  # noqa: SIM115
    yield ours, stream
    for close in (lambda: os.close(ours), stream.close):
        try:
            close()
        except OSError:
            continue


def test_a_line_fits_the_terminal_also_after_it_was_made_narrower(clock: Clock, terminal: tuple[int, TextIO]) -> None:
    ours, stream = terminal
    progress = Progress("train-reward", stream, clock=clock)
    progress.update(120, 1000, {"loss": 0.6931, "accuracy": 0.71})
    assert os.read(ours, 1000).decode() == f"{CLEAR}train-reward  120/1,000"
    fcntl.ioctl(stream.fileno(), termios.TIOCSWINSZ, struct.pack("HHHH", 24, 10, 0, 0))
    progress.tell("kept")
    assert os.read(ours, 1000).decode() == f"{CLEAR}kept\ntrain-rew"
    progress.close()
    assert os.read(ours, 1000).decode() == f"{CLEAR}train-rew\n"


def test_a_terminal_that_hangs_up_stops_nothing(clock: Clock, terminal: tuple[int, TextIO]) -> None:
    ours, stream = terminal
    progress = Progress("x", stream, clock=clock)
    progress.update(1, 2)
    os.close(ours)
    use(progress, clock)


# --- numbers for people ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.693147, "0.693"),
        (0.71, "0.71"),
        (3.14159, "3.14"),
        (42, "42"),
        (999.4, "999"),
        (999.7, "1,000"),
        (-1234.5, "-1,234"),
        (1234567, "1,234,567"),
        (3.2e12, "3.2e+12"),
        (0.00001, "1e-05"),
        (0, "0"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_number_is_rounded_to_what_people_compare(value: float, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (9.5, "10 s"),
        (12.4, "10 s"),
        (41, "40 s"),
        (57.4, "55 s"),
        (58, "1 min"),
        (250, "4 min"),
        (3599, "1 h"),
        (7900, "2 h 10 min"),
        (86100, "1 d"),
        (274000, "3 d 4 h"),
    ],
)
def test_a_time_is_rounded_to_what_people_plan_by(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e12), st.none() | st.floats(0, 1e12), st.floats()), max_size=20)
)
def test_no_numbers_are_too_odd_to_be_shown(updates: list[tuple[float, float, float | None, float]]) -> None:
    clock = Clock()
    progress = Progress("x", Terminal(), clock=clock, width=40)
    for passed, done, total, value in updates:
        clock.now += passed
        progress.update(done, total, {"value": value})
    progress.close()


def test_a_pager_that_reads_a_page_and_stops_delays_nothing(clock: Clock) -> None:
    reader, writer = os.pipe()
    with open(writer, "w", buffering=1) as stream:
        progress = Progress("x", stream, clock=clock)
        for _ in range(200):
            progress.tell("y" * 1000)  # more than any pipe holds
        assert len(os.read(reader, 4096)) == 4096
        progress.tell("z")
        progress.close()
    os.close(reader)
