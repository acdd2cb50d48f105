"""EagerResult: known already, never asks a backend."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251 - handles travel between processes of the user

import pytest

from windlass import errors
from windlass.result import AsyncResult, EagerResult, denied_join_result
from windlass.states import Stage


def test_a_success_gives_its_value() -> None:
    result = EagerResult("e", 42, "SUCCESS", name="t")

    assert (result.get(), result.result, result.info, result.wait()) == (42, 42, 42, 42)
    assert (result.state, result.status, result.stage) == ("SUCCESS", "SUCCESS", Stage.DONE)
    assert result.ready()
    assert result.successful()
    assert not result.failed()
    assert (result.name, result.children, result.exists()) == ("t", None, False)
    assert isinstance(result, AsyncResult)
    assert repr(result) == "<EagerResult: e>"


def test_a_failure_raises_its_exception_or_returns_it() -> None:
    result = EagerResult("e", ValueError("no"), "FAILURE", traceback="tb")

    with pytest.raises(ValueError, match="no"):
        result.get()
    assert type(result.get(propagate=False)) is ValueError
    assert (result.failed(), result.traceback) == (True, "tb")


async def test_it_can_be_awaited() -> None:
    assert await EagerResult("e", 42, "SUCCESS") == 42


def test_then_is_called_at_once() -> None:
    seen: list[object] = []

    EagerResult("e", 42, "SUCCESS").then(lambda r: seen.append(r.get()))

    assert seen == [42]


def test_revoke_marks_it_as_celery_does() -> None:
    result = EagerResult("e", 42, "SUCCESS")

    result.revoke()

    assert (result.state, result.status) == ("REVOKED", "REVOKED")
    with pytest.raises(errors.TaskRevokedError):
        result.get()


def test_forget_does_nothing_and_the_backend_is_refused_with_a_hint() -> None:
    result = EagerResult("e", 42, "SUCCESS")
    result.forget()

    assert result.get() == 42
    with pytest.raises(errors.BackendError, match="ran eagerly"):
        _ = result.backend


def test_it_survives_copy_and_pickle() -> None:
    result = EagerResult("e", 42, "SUCCESS", name="t")

    for again in (copy.copy(result), pickle.loads(pickle.dumps(result))):
        assert (again.get(), again.name, type(again)) == (42, "t", EagerResult)


def test_waiting_can_be_denied() -> None:
    with denied_join_result(), pytest.raises(RuntimeError):
        EagerResult("e", 42, "SUCCESS").get()
