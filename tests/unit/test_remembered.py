"""Answers about a whole store that are kept until its next commit."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from crossmodal.core.errors import StateError
from crossmodal.store.remembered import MOST_VALUES, Remembered


def test_the_last_used_values_are_kept_until_the_version_changes() -> None:
    version, read = [0], list[str]()
    remembered = Remembered(lambda: (0, version[0]))

    def value(name: str) -> str:
        return remembered.value(name, lambda: read.append(name) or name)

    names = [str(n) for n in range(MOST_VALUES)]
    assert [value(name) for name in (*names, "0")] == [*names, "0"]
    value("one more")
    value("0")
    assert read == [*names, "one more"]
    value("1")  # used less than the others
    assert read[-1] == "1"
    version[0] += 1
    value("1")
    assert read[-2:] == ["1", "1"]


def test_threads_that_ask_at_the_same_time_read_once() -> None:
    remembered, n, all_ask = Remembered(lambda: (0, 0)), 4, threading.Event()
    read = []

    def slowly() -> int:
        assert all_ask.wait(30)
        read.append(threading.get_ident())
        return 7

    with ThreadPoolExecutor(n) as threads:
        answers = [threads.submit(remembered.value, "a", slowly) for _ in range(n)]
        all_ask.set()
        assert [answer.result(30) for answer in answers] == [7] * n
    assert len(read) == 1


def test_a_failure_is_not_kept() -> None:
    remembered = Remembered(lambda: (0, 0))

    def fail() -> int:
        raise StateError("the disk fails")

    with pytest.raises(StateError, match="disk"):
        remembered.value("a", fail)
    assert remembered.value("a", lambda: 7) == 7
