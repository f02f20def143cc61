"""What all tests share: their order, and a last line for campaigns."""

import os

import pytest

# Whoever runs the tests may have sources and tables of their own.
os.environ |= {"SOURCES_FILE": os.devnull, "SPARK_LAKE": "", "SPARK_CATALOG_URI": ""}

LONGEST = ("test_torture_", "test_report.py", "test_changes.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--count-line", action="store_true", help="end in a line `N passed, N failed`")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that processors end together."""
    items.sort(key=lambda item: not item.path.name.startswith(LONGEST))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Behind all that pytest says; errors before and after a test count as failures."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not config.getoption("--count-line", default=False) or hasattr(config, "workerinput") or reporter is None:
        return
    failed = {report.nodeid for outcome in ("failed", "error") for report in reporter.stats.get(outcome, ())}
    passed = {report.nodeid for report in reporter.stats.get("passed", ())} - failed
    print(f"{len(passed)} passed, {len(failed)} failed", flush=True)
