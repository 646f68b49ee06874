"""No more requests in flight than connections may be open."""

import resource

import pytest

from tasks.core.environment.open_files import RESERVED, make_room

NO_LIMIT = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The limit and the most that it may be set to; the last of the list is the one that stands."""
    stand = [(256, 4096)]
    monkeypatch.setattr(resource, "getrlimit", lambda what: stand[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda what, new: stand.append(new))
    return stand


@pytest.mark.parametrize(("requests", "limit"), [(10, 256), (500, 500 + RESERVED)])
def test_the_limit_is_raised_as_far_as_it_is_needed(limits: list[tuple[int, int]], requests: int, limit: int) -> None:
    """Where it is enough, it is left alone."""
    assert make_room(requests) == requests
    assert limits[-1] == (limit, 4096)


def test_where_it_may_not_be_raised_fewer_requests_are_in_flight(limits: list[tuple[int, int]]) -> None:
    """Half as many where each takes two files; one in any case."""
    limits.append((256, 256))
    assert make_room(500) == 256 - RESERVED
    assert make_room(500, per_request=2) == (256 - RESERVED) // 2
    limits.append((RESERVED - 1, RESERVED - 1))
    assert make_room(500) == 1


def test_a_system_that_refuses_what_it_has_promised_is_believed(
    limits: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS has a second limit that it does not name here."""

    def refuse(what: int, new: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert make_room(500) == 256 - RESERVED


def test_without_a_limit_all_are_in_flight(limits: list[tuple[int, int]]) -> None:
    """Nothing is set."""
    limits.append((NO_LIMIT, NO_LIMIT))
    assert make_room(10_000) == 10_000
    assert limits[-1] == (NO_LIMIT, NO_LIMIT)
