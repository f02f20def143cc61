"""When a build of changes that failed is followed by a build of everything."""

import pytest

from pipeline import building
from pipeline.dbt_runner import Build, NodeResult


def node(resource_type: str, failures: int, is_skipped: bool = False) -> NodeResult:
    return NodeResult("a", resource_type, "marts", "a", False, is_skipped, "", failures, 0.1)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([node("test", 2), node("model", 0, is_skipped=True)], True),
        # Broken off, as if the engine had died.
        ([node("test", 0)], False),
        ([node("test", 2), node("test", 0)], False),
        ([node("test", 2), node("model", 0)], False),
        ([], False),
    ],
)
def test_only_rows_that_break_a_test_are_a_reason_to_rebuild(nodes: list[NodeResult], expected: bool) -> None:
    assert building._is_only_tests(Build(False, tuple(nodes))) is expected
