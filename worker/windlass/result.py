"""Results under Celery's path: `from windlass.result import AsyncResult`."""

from windlass.results.eager_result import EagerResult
from windlass.results.group_result import GroupResult
from windlass.results.guard import allow_join_result, assert_will_not_block, denied_join_result
from windlass.results.handle import AsyncResult, result_from_tuple
from windlass.results.result_set import ResultSet
from windlass.results.tree import ResultBase

__all__ = [
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "ResultBase",
    "ResultSet",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "result_from_tuple",
]
