"""The queries of the documents answer, through the link, in DuckDB's own shell (1.5)."""

import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from places import build_marts, load_landing

from demo.deliveries import write_demo
from pipeline.publishing import Publications
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.warehouse import Warehouse

QUERIES = [
    query
    for document in ("README.md", "docs/queries.md", "docs/metrics.md")
    for query in re.findall(r"```sql\n(.*?)```", (PROJECT_DIR / document).read_text("utf-8"), re.DOTALL)
]
SHELL = Path(sys.executable).with_name("duckdb")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    rules = Rules.read()
    write_demo(folder / "landing", days=10, touches=8_000, last_day=date(2026, 3, 31))
    warehouse = Warehouse(folder / "warehouse")
    # The last day comes later than the others, so that there is something that changed.
    last_days = [folder / "landing" / table / "2026-03-31" for table in ("touches", "contacts")]
    for last_day in last_days:
        last_day.rename(last_day.with_name("_later"))
    for _ in range(2):
        load_landing(warehouse, folder / "landing", rules)
        build_marts(warehouse, rules)
        with warehouse.locked("test"):
            Publications(warehouse).publish(rules)
        for last_day in last_days:
            if not last_day.exists():
                last_day.with_name("_later").rename(last_day)
    return Publications(warehouse).link


def test_there_are_queries() -> None:
    assert len(QUERIES) >= 15


def test_the_shell_is_of_the_oldest_supported_version() -> None:
    version = subprocess.run([SHELL, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("v1.5.")


@pytest.mark.parametrize("number", range(len(QUERIES)))
def test_a_query_answers(published: Path, number: int) -> None:
    answer = subprocess.run(
        [SHELL, "-readonly", "-csv", "-bail", str(published), QUERIES[number]], capture_output=True, text=True
    )
    assert answer.returncode == 0 and answer.stderr == ""
    assert len(answer.stdout.splitlines()) > 1, "a header alone is no answer"
