"""What `mf` says of the published file is what plain SQL says."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import metrics_document
import pytest
import yaml
from places import build_marts, load_landing, rows_of

from demo.deliveries import write_demo
from pipeline.fingerprints import fingerprint
from pipeline.publishing import Publications
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.warehouse import Warehouse

COMMANDS = Path(sys.executable).parent
DEFINED = [yaml.safe_load(file.read_text("utf-8")) for file in sorted((PROJECT_DIR / "metrics").glob("*.yml"))]
METRICS = [metric for file in DEFINED for metric in file["metrics"]]
SAVED_QUERIES = [query for file in DEFINED for query in file["saved_queries"]]
# What each metric is of a group of rows.
OF_THE_JOURNAL = {
    "contacts": "count(*)",
    "multichannel_contacts": "count(*) filter (where icon = 'multichannel')",
    "multichannel_share": "count(*) filter (where icon = 'multichannel') / count(*)",
    "touches_per_contact": "sum(touch_count) / count(*)",
    "seconds_to_contact": "median(epoch_us(contacted_at) - epoch_us(first_touch_at)) / 1e6",
}
OF_CREDITS = {"credited_contacts": "sum(credit)", "credited_value": "sum(credited_value)"}
OF_PERFORMANCE = {
    "spend": "sum(spend)",
    "cost_per_contact": "nullif(sum(spend), 0) / nullif(sum(credited_contacts), 0)",
    "return_on_spend": "sum(credited_value) / nullif(sum(spend), 0)",
}
Row = tuple[Any, ...]


# `mf`, imported once for all that is asked: a line in says its arguments, a line out how it ended and what it said.
# Its spinners write past what would catch them.
SERVER = """
import json, os, sys
from click.testing import CliRunner
from dbt_metricflow.cli.main import cli
answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for line in sys.stdin:
    outcome = CliRunner().invoke(cli, json.loads(line))
    print(json.dumps([outcome.exit_code, outcome.output + repr(outcome.exception or "")]), file=answers, flush=True)
"""


class Published:
    """A published file, and `mf` to ask it."""

    def __init__(self, folder: Path, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.link = Publications(warehouse).link
        self.answer = folder / "answer.csv"
        self.environment = os.environ | {
            "DBT_TARGET": "published",
            "WAREHOUSE_DIR": str(warehouse.folder),
            "DBT_LOG_PATH": str(folder / "logs"),
            "TMPDIR": str(folder),
        }
        self.run("dbt", "--quiet", "parse")
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=PROJECT_DIR, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def mf(self, *arguments: str) -> str:
        assert self.server.stdin and self.server.stdout
        print(json.dumps(arguments), file=self.server.stdin, flush=True)
        exit_code, said = json.loads(self.server.stdout.readline())
        assert exit_code == 0, said
        return str(said)

    def run(self, command: str, *arguments: str) -> str:
        outcome = subprocess.run(
            [COMMANDS / command, *arguments], cwd=PROJECT_DIR, env=self.environment, capture_output=True, text=True
        )
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
        return outcome.stdout

    def ask(self, *arguments: str) -> list[dict[str, str]]:
        """The rows that `mf query` answers with."""
        self.answer.unlink(missing_ok=True)
        self.mf("query", "--quiet", "--csv", str(self.answer), *arguments)
        with open(self.answer, encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def metrics(self, names: Sequence[str], group_by: Sequence[str], *arguments: str) -> list[Row]:
        """The groups and their metrics, in the order of groups."""
        grouping = ("--group-by", ",".join(group_by)) if group_by else ()
        rows = self.ask("--metrics", ",".join(names), *grouping, *arguments)
        return sorted(
            (*(row[name] for name in group_by), *(float(row[name]) if row[name] else None for name in names))
            for row in rows
        )

    def select(self, query: str) -> list[Row]:
        with duckdb.connect(str(self.link), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def by_hand(self, table: str, metrics: Sequence[str], group_by: Sequence[str], where: str = "true") -> list[Row]:
        """The same by SQL, near enough: sums of fractions depend on their order."""
        groups = [f"coalesce(cast({group} as varchar), '')" for group in group_by]
        rows = self.select(f"select {', '.join([*groups, *metrics])} from {table} where {where} group by all")
        return sorted((*row[: len(groups)], *map(near, row[len(groups) :])) for row in rows)


def near(value: Any) -> Any:
    return None if value is None else pytest.approx(float(value), rel=1e-9)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    folder = tmp_path_factory.mktemp("metrics")
    rules = Rules.read()
    write_demo(folder / "landing", days=20, touches=8_000, last_day=date(2026, 3, 31))
    warehouse = Warehouse(folder / "warehouse")
    load_landing(warehouse, folder / "landing", rules)
    build_marts(warehouse, rules)
    with warehouse.locked("test"):
        Publications(warehouse).publish(rules)
    ready = Published(folder, warehouse)
    yield ready
    ready.server.terminate()
    ready.server.wait()


@pytest.mark.parametrize(
    ("asked", "by_hand"),
    [
        ([], []),
        (["metric_time__week"], ["cast(date_trunc('week', contact_date) as timestamp)"]),
        (["contact__widget_name", "contact__contact_type"], ["widget_name", "contact_type"]),
        (["client"], ["client_id"]),
    ],
)
def test_metrics_of_the_journal_are_what_sql_says(published: Published, asked: list[str], by_hand: list[str]) -> None:
    said = published.metrics(list(OF_THE_JOURNAL), asked)

    assert said == published.by_hand("journal", list(OF_THE_JOURNAL.values()), by_hand)
    assert len(said) > 1 or not asked


def test_a_metric_of_some_contacts_is_what_sql_says(published: Published) -> None:
    where = "{{ Dimension('contact__icon') }} = 'multichannel' and {{ TimeDimension('metric_time', 'day') }} >= '2026-03-25'"

    assert published.metrics(list(OF_THE_JOURNAL), ["contact__brand_id"], "--where", where) == published.by_hand(
        "journal", list(OF_THE_JOURNAL.values()), ["brand_id"], "is_multichannel and contact_date >= '2026-03-25'"
    )


def test_growth_compares_with_the_week_before(published: Published) -> None:
    counts = published.select(
        "select count(*) from journal group by date_trunc('week', contact_date) order by any_value(contact_date)"
    )
    growth = published.metrics(["contact_growth"], ["metric_time__week"])

    assert len(counts) >= 3
    assert [row[1] for row in growth] == [
        None,
        *(pytest.approx(after / before - 1) for (before,), (after,) in pairwise(counts)),
    ]


def by_model(model: str) -> tuple[str, str]:
    return "--where", f"{{{{ Entity('attribution_model') }}}} = '{model}'"


@pytest.mark.parametrize("model", ["first_touch", "linear"])
@pytest.mark.parametrize(
    ("asked", "by_hand"),
    [
        ([], []),
        (["metric_time__week", "channel"], ["cast(date_trunc('week', performance_date) as timestamp)", "channel"]),
        (["channel", "campaign"], ["channel", "campaign"]),
    ],
)
def test_metrics_of_performance_are_what_sql_says(
    published: Published, asked: list[str], by_hand: list[str], model: str
) -> None:
    said = published.metrics(list(OF_PERFORMANCE), asked, *by_model(model))

    assert said == published.by_hand(
        "channel_performance", list(OF_PERFORMANCE.values()), by_hand, f"model = '{model}'"
    )
    assert any(None not in row for row in said)


def test_models_are_compared_by_grouping(published: Published) -> None:
    performance = published.metrics(list(OF_PERFORMANCE), ["attribution_model"])
    credits = published.metrics(list(OF_CREDITS), ["attribution_model"])

    assert performance == published.by_hand("channel_performance", list(OF_PERFORMANCE.values()), ["model"])
    assert credits == published.by_hand("channel_attribution", list(OF_CREDITS.values()), ["model"])
    assert len(performance) == len(credits) > 1


def test_credits_can_be_asked_for_by_what_is_known_of_the_contact(published: Published) -> None:
    said = published.metrics(list(OF_CREDITS), ["contact__widget_name", "credit__source"], *by_model("linear"))

    assert said and said == published.by_hand(
        "channel_attribution inner join (select contact_id, widget_name from journal) using (contact_id)",
        list(OF_CREDITS.values()), ["widget_name", "source"], "model = 'linear'",
    )  # fmt: skip


@pytest.mark.parametrize("asked", [[], ["channel"]])
def test_without_a_model_only_spend_is_shown(published: Published, asked: list[str]) -> None:
    rows = published.metrics([*OF_CREDITS, "cost_per_contact", "return_on_spend", "spend"], asked)

    assert {value for row in rows for value in row[len(asked) : -1]} == {None}
    assert [(*row[: len(asked)], row[-1]) for row in rows] == published.by_hand(
        "channel_performance", ["sum(spend)"], asked, "model = 'linear'"
    )


def test_performance_is_shown_for_every_model(published: Published) -> None:
    """What was spent is the sum over models divided by how many they are."""
    assert not published.select(
        """
        select performance_date, channel, campaign from channel_performance group by all
        having count(*) <> (select count(distinct model) from channel_performance) or min(spend) <> max(spend)
        """
    )


def test_days_of_metrics_have_no_gaps(published: Published) -> None:
    ((first, last),) = published.select("""
        select min(day), max(day)
        from (select contact_date as day from journal union all select performance_date from channel_performance)
        """)

    assert published.select("from metric_days order by metric_date") == published.select(
        f"select cast(range as date) from range(date '{first}', date '{last}' + 1, interval 1 day)"
    )


def test_metrics_are_answered_while_a_load_has_the_private_file(published: Published) -> None:
    with published.warehouse.locked("test"), published.warehouse.connected():
        assert published.metrics(["contacts"], []) == published.by_hand("journal", ["count(*)"], [])


def test_all_that_is_defined_fits_the_published_file(published: Published) -> None:
    assert "ERRORS: 0, FUTURE_ERRORS: 0, WARNINGS: 0" in published.run("mf", "validate-configs")


def test_all_metrics_are_listed_and_described(published: Published) -> None:
    listed = published.run("mf", "list", "metrics")

    for metric in METRICS:
        assert f"{metric['name']}: " in listed
        assert metric["label"] and metric["description"]


def by_groups(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> dict[Row, Row]:
    """The metrics of each group; numbers of `mf` are text, and so are its nulls."""
    return {
        tuple(
            str("" if value is None else value).removesuffix(" 00:00:00")
            for column, value in row.items()
            if column not in metrics
        ): tuple(None if row[metric] in ("", None) else float(row[metric]) for metric in metrics)
        for row in rows
    }


def test_the_document_has_each_saved_query() -> None:
    assert sorted(metrics_document.sections()) == sorted(query["name"] for query in SAVED_QUERIES)


@pytest.mark.parametrize("query", SAVED_QUERIES, ids=lambda query: query["name"])
def test_a_saved_query_answers_what_the_document_says(published: Published, query: dict[str, Any]) -> None:
    """With UPDATE_DOCS=1 in the environment, all but the document's introduction and SQL is written anew."""
    written, sql = metrics_document.sections()[query["name"]]
    metrics = query["query_params"]["metrics"]
    rows = published.ask("--saved-query", query["name"])
    with duckdb.connect(str(published.link), read_only=True) as connection:
        rows_by_hand = rows_of(connection, sql)
    said, by_hand = by_groups(rows, metrics), by_groups(rows_by_hand, metrics)

    assert said == {groups: tuple(map(near, numbers)) for groups, numbers in by_hand.items()}
    assert len(said) == len(rows) == len(rows_by_hand) > 0
    assert query["label"] and query["description"].endswith("?")
    if os.environ.get("UPDATE_DOCS") == "1":
        metrics_document.write(written, metrics_document.section(query, sql, rows_by_hand))
    else:
        assert written == metrics_document.section(query, sql, rows_by_hand)


def test_nothing_can_be_written_by_the_target(published: Published) -> None:
    outcome = subprocess.run(
        [COMMANDS / "dbt", "run", "--select", "metric_days"],
        cwd=PROJECT_DIR, env=published.environment, capture_output=True, text=True,
    )  # fmt: skip

    assert outcome.returncode != 0
    assert "read-only" in outcome.stdout


def test_another_metric_is_no_reason_to_build_everything_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = fingerprint(Rules.read())
    for part in ("dbt_project.yml", "models", "macros", "seeds", "data_tests"):
        (tmp_path / part).symlink_to(PROJECT_DIR / part)
    monkeypatch.setattr("pipeline.fingerprints.PROJECT_DIR", tmp_path)

    assert fingerprint(Rules.read()) == before
