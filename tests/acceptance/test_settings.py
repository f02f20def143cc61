"""What a machine may give to the pipeline: settings, who uses them, and what is said when they can't be used."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import golden_marts
import pytest
import yaml
from places import build_marts, load_landing
from processes import ENVIRONMENT, PATIENCE_SECONDS, REPOSITORY, Site, copied_project

from pipeline import dbt_runner
from pipeline.fingerprints import BUILT_FROM, PARSED_SETTINGS, parsing_fingerprint
from pipeline.marts import MARTS
from pipeline.publishing.audit import audit
from pipeline.settings import (
    DEFAULT_MEMORY_LIMIT,
    KNOWN_NAMES,
    ReportSettings,
    Rules,
    Settings,
    SettingsError,
    load_environment,
    misspelled_names,
)
from pipeline.warehouse import Warehouse

CHOSEN = {"memory_limit": "1.0 GiB", "threads": 3}


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder, in the environment with other choices."""
    monkeypatch.setenv("MEMORY_LIMIT", "1 GiB")
    monkeypatch.setenv("THREADS", "3")
    monkeypatch.setenv("TEMPORARY_DIR", str(tmp_path / "spills"))
    return tmp_path / "spills"


def resources_of(connection: duckdb.DuckDBPyConnection) -> tuple[dict[str, object], Path]:
    query = "select current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory')"
    memory_limit, threads, temporary_dir = connection.execute(query).fetchall()[0]
    return {"memory_limit": memory_limit, "threads": threads}, Path(temporary_dir)


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANDING_DIR", "WAREHOUSE_DIR", "MEMORY_LIMIT", "THREADS", "TEMPORARY_DIR"):
        monkeypatch.setenv(name, "")
    settings = Settings.read()
    assert settings.landing_dir == REPOSITORY / "data" / "landing"
    assert settings.warehouse_dir == REPOSITORY / "data" / "warehouse"
    assert settings.memory_limit == DEFAULT_MEMORY_LIMIT
    assert settings.threads == len(os.sched_getaffinity(0))
    assert settings.temporary_dir is None


@pytest.mark.parametrize("text", ["4GB", "4gb", " 1.5 GiB ", "512M", "60%", "100%", "0.5%"])
def test_amounts_of_memory_that_duckdb_takes_too(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MEMORY_LIMIT", text)
    duckdb.connect(config={"memory_limit": Settings.read().memory_limit}).close()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("MEMORY_LIMIT", "plenty", "write it like 4GB or 60%"),
        ("MEMORY_LIMIT", "4", "write it like 4GB or 60%"),
        ("MEMORY_LIMIT", "-4GB", "write it like 4GB or 60%"),
        ("MEMORY_LIMIT", "4GB; drop table", "write it like 4GB or 60%"),
        ("MEMORY_LIMIT", "٤GB", "write it like 4GB or 60%"),
        ("MEMORY_LIMIT", "0%", "from 0.1% to 100%"),
        ("MEMORY_LIMIT", "0.09%", "from 0.1% to 100%"),
        ("MEMORY_LIMIT", "1000.1TB", "at most 1000TB"),
        ("MEMORY_LIMIT", "9" * 400 + "GB", "no machine has so much"),
        ("REPORT_MEMORY_LIMIT", "0.09%", "from 0.1% to 100%"),
        ("MEMORY_LIMIT", "160%", "from 0.1% to 100%"),
        ("MEMORY_LIMIT", "64MB", "at least 200MB"),
        ("REPORT_HOST", "http://127.0.0.1", "write an address like 127.0.0.1"),
        ("REPORT_HOST", "[::1]", "write an address like 127.0.0.1"),
        ("THREADS", "0", "whole number from 1"),
        ("THREADS", "many", "whole number from 1"),
        ("THREADS", "1.5", "whole number from 1"),
        ("THREADS", "100000", "from 1 to 1024"),
    ],
)
def test_what_cannot_be_used_is_reported(monkeypatch: pytest.MonkeyPatch, name: str, text: str, said: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError) as refused:
        (ReportSettings if name.startswith("REPORT_") else Settings).read()
    assert str(refused.value).startswith(f"{name} = {text!r}: " if len(text) < 80 else f"{name} = {text!r}"[:80])
    assert said in str(refused.value)


def test_the_command_line_refuses_them_before_it_makes_anything(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.landing.mkdir(parents=True)
    notice = tmp_path / "notice"

    outcome = site.run("load", MEMORY_LIMIT="plenty", ALERT_COMMAND=f"cat > '{notice}'")

    assert outcome.exit_code == 1
    assert "MEMORY_LIMIT = 'plenty'" in outcome.failure
    assert "MEMORY_LIMIT = 'plenty'" in notice.read_text("utf-8")
    assert not site.warehouse.folder.exists()


def test_a_temporary_folder_that_cannot_be_made_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setenv("TEMPORARY_DIR", str(tmp_path / "file" / "below"))
    warehouse = Warehouse(tmp_path / "warehouse")
    with warehouse.locked("test"), pytest.raises(SettingsError, match="set TEMPORARY_DIR to a folder"):
        warehouse.resources()


# Who uses them


def test_connections_to_the_private_file_use_them(tmp_path: Path, chosen: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse")
    with warehouse.locked("test"), warehouse.connected() as connection:
        resources, temporary_dir = resources_of(connection)
        assert resources == CHOSEN
        assert temporary_dir == warehouse.temporary_dir
        assert temporary_dir.parent == chosen
        assert temporary_dir.stat().st_mode & 0o077 == 0, "rows lie there"


def test_dbt_uses_them(tmp_path: Path, chosen: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse")
    before = dict(os.environ)
    with warehouse.locked("test"):
        with warehouse.connected():
            pass
        query = "select current_setting('memory_limit'), current_setting('threads'), current_setting('temp_directory')"
        outcome = dbt_runner.run_dbt(warehouse.folder, ["show", "--inline", query], Rules.read())
        assert outcome.success, outcome.exception
        shown = outcome.result.results[0].agate_table.rows[0].values()
        assert [str(value) for value in shown] == ["1.0 GiB", "3", str(warehouse.temporary_dir)]
    assert dict(os.environ) == before


def test_dbt_alone_works_without_them(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse")
    with warehouse.locked("test"), warehouse.connected():
        pass
    outcome = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "build", "--select", "resource_type:seed", "--exclude-resource-type", "unit_test",
         "--target-path", str(tmp_path / "target"), "--log-path", str(tmp_path / "target")],
        cwd=REPOSITORY,
        env={name: value for name, value in ENVIRONMENT.items() if name not in ("MEMORY_LIMIT", "THREADS", "TEMPORARY_DIR")}
        | {"WAREHOUSE_DIR": str(warehouse.folder)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout


def test_the_audit_uses_them(tmp_path: Path, chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(tmp_path / "warehouse")
    file = tmp_path / "marts.duckdb"
    with duckdb.connect(str(file)) as connection:
        for table in ("touch_credits", "_path_credits"):
            connection.execute(f"create table {table} (linear decimal(18, 12))")
    asked = []

    def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
        asked.append(resources_of(connection))
        return 0

    monkeypatch.setattr("pipeline.sql.count", count)
    monkeypatch.setattr("pipeline.sql.statement", lambda *_, **__: "select '', 0 where false")
    with warehouse.locked("test"):
        audit(file, Rules.read(), dict.fromkeys(MARTS, 0), warehouse.resources())
        assert asked and set(map(repr, asked)) == {repr((CHOSEN, warehouse.temporary_dir))}


# Leftovers


def test_leftovers_of_the_killed_go_with_the_next_lock_and_nothing_else_does(tmp_path: Path, chosen: Path) -> None:
    warehouse, neighbour = Warehouse(tmp_path / "warehouse"), Warehouse(tmp_path / "neighbour")
    for folder in (warehouse.temporary_dir, neighbour.temporary_dir, chosen / "somebody's"):
        (folder / "delivery-x").mkdir(parents=True)
        (folder / "duckdb_temp_storage_DEFAULT-0.tmp").write_text("", "utf-8")
    with warehouse.locked("test"):
        assert not warehouse.temporary_dir.exists()
        with warehouse.connected(), warehouse.locked("test, once more"):
            assert warehouse.temporary_dir.exists()
        assert warehouse.temporary_dir.exists(), "still in use"
    assert {path.name for path in chosen.iterdir()} == {neighbour.temporary_dir.name, "somebody's"}
    assert len(list(neighbour.temporary_dir.iterdir())) == 2


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, with nothing parsed."""
    for name in (*BUILT_FROM, "profiles.yml"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "data_tests").unlink()
    shutil.copytree(REPOSITORY / "data_tests", tmp_path / "data_tests")
    monkeypatch.setattr(dbt_runner, "PROJECT_DIR", tmp_path)
    monkeypatch.setattr("pipeline.fingerprints.PROJECT_DIR", tmp_path)
    return tmp_path


def test_the_project_is_parsed_once_and_anew_when_it_or_a_setting_changes(project: Path) -> None:
    leftover = project / "target" / "parsed" / "parse-killed" / "dbt"
    leftover.mkdir(parents=True)
    rules = Rules.read()

    manifest = dbt_runner.prepared_manifest()

    assert manifest.is_file()
    assert [folder.name for folder in manifest.parent.parent.iterdir() if folder.is_dir()] == [manifest.parent.name]
    written = manifest.stat().st_mtime_ns
    assert dbt_runner.prepared_manifest() == manifest
    assert manifest.stat().st_mtime_ns == written

    german = dbt_runner._parsed_project(Rules.read({"default_phone_region": "DE"}))
    assert german != manifest.parent
    assert dbt_runner._parsed_project(rules) == manifest.parent

    (project / "data_tests" / "new.sql").write_text("select 1 where false", "utf-8")
    with_test = dbt_runner._parsed_project(rules)
    assert "test.multichannel.new" in (with_test / "manifest.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("same_touch_seconds", -1, "same_touch_seconds = -1"),
        ("same_contact_seconds", "soon", "same_contact_seconds = 'soon'"),
        ("same_visit_seconds", 10**10, "less than or equal to 1000000000"),
        ("source_precedence", "metrica", "source_precedence = 'metrica'"),
        ("source_precedence", ["mango", "metrica", "mango"], "'mango' is named twice"),
        ("source_precedence", ["metrica:1"], "what stands before the first colon"),
        ("source_precedence", ["metrica "], "what stands before the first colon"),
        ("source_precedence", [""], "at least 1 character"),
    ],
)
def test_what_says_which_events_are_one_is_judged(name: str, value: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        Rules.read({name: value})
    assert Rules.read({"same_touch_seconds": None, "source_precedence": []}).as_vars()["source_precedence"] == []


def test_what_is_parsed_depends_on_no_other_setting(tmp_path: Path) -> None:
    others: dict[str, Any] = {
        "report_timezone": "Asia/Tokyo",
        "first_load_day": "2020-02-02",
        "contact_grace_seconds": 7,
        "history_scope": "since_previous_contact",
        "lookback_days": 3,
        "channel_grain": "source_medium_campaign",
        "count_direct_touches": False,
        "max_rejected_share": 0.25,
        "max_columns": 123,
        "history_touch_limit": 11,
        "chain_form": "unique",
        "position_based_first_share": 0.3,
        "position_based_last_share": 0.2,
        "time_decay_half_life_days": 3,
        "large_client_size": 12,
        "same_touch_seconds": 5,
        "same_visit_seconds": 6,
        "same_contact_seconds": None,
        "source_precedence": ["mango"],
        "report_currency": "EUR",
    }
    rules = Rules.read()
    changed = Rules.read(others).as_vars()
    assert {name for name, value in rules.as_vars().items() if changed[name] == value} == set(PARSED_SETTINGS)

    outcome = dbt_runner.run_dbt(tmp_path, ["parse"], Rules.read(others))

    assert outcome.success, outcome.exception
    assert parsed_nodes(tmp_path / "dbt" / "manifest.json") == parsed_nodes(dbt_runner.prepared_manifest())


def parsed_nodes(manifest: Path) -> dict[str, Any]:
    """All that is parsed, but for when that was."""
    parts = json.loads(manifest.read_text("utf-8"))
    nodes = {
        unique_id: node
        for part in ("nodes", "sources", "macros", "unit_tests")
        for unique_id, node in parts[part].items()
    }
    assert len(nodes) > 100
    for node in nodes.values():
        node.pop("created_at", None)
    return nodes


def test_of_what_was_parsed_the_latest_used_is_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbt_runner, "PARSED_KEPT", 2)
    parsed = project / "target" / "parsed"
    for age, name in enumerate(("new", "older", "oldest")):
        (parsed / name).mkdir(parents=True)
        os.utime(parsed / name, (time.time() - 100 * age - 100,) * 2)
    oldest = parsed / parsing_fingerprint(Rules.read())
    (parsed / "oldest").rename(oldest)

    assert dbt_runner._parsed_project(Rules.read()) == oldest  # which makes it the latest
    german = dbt_runner._parsed_project(Rules.read({"default_phone_region": "DE"}))

    assert {folder for folder in parsed.iterdir() if folder.is_dir()} == {oldest, parsed / "new", german}


# Every value of every setting: it can be used, or it is refused by name before anything is made.

BOUNDARIES: dict[str, tuple[tuple[object, ...], tuple[object, ...]]] = {
    "report_timezone": (
        ("UTC", "Asia/Kathmandu", "Etc/GMT-14"),
        ("posix/Europe/Moscow", "right/Europe/Moscow", "localtime", "posixrules", "europe/moscow", "MSK", "+03:00", "/etc/localtime", ""),
    ),
    "first_load_day": (
        ("1970-01-01", "2020-02-29"),
        ("1969-12-31", "2021-02-29", "9999-12-31", "2015-1-1", "20150101", "2015-01-01T00:00:00", 0, 86_400, 20150101),
    ),
    "contact_grace_seconds": ((0, 0.5, 5e-324, 10**9), (-5e-324, 10**9 + 1, None)),
    "history_scope": (("all_prior", "since_previous_contact"), ("", "ALL_PRIOR", None)),
    "lookback_days": ((None, 0, 5e-324, 100_000), (-1, 100_001)),
    "channel_grain": (("source_medium", "medium", "source", "source_medium_campaign"), ("campaign", None)),
    "count_direct_touches": ((True, False), ("maybe", 2, None)),
    "default_phone_region": (("RU", "KZ", "GB"), ("ru", "UK", "ZZ", "XX", "SU", "RUS", "", "\N{REGIONAL INDICATOR SYMBOL LETTER R}" * 2)),
    "max_rejected_share": ((0, 5e-324, 1), (-0.1, 1.1, 50)),
    "max_columns": ((1, 1000), (0, -1, 1.5, 100_001)),
    "history_touch_limit": ((1, 10**9), (0, -1, 1.5, 10**9 + 1)),
    "chain_form": (("as_is", "collapsed", "unique"), ("", None)),
    "position_based_first_share": ((0, 5e-324, 0.6), (-0.1, 0.61, 1.1)),
    "position_based_last_share": ((0, 5e-324, 0.6), (-0.1, 0.61, 1.1)),
    "time_decay_half_life_days": ((5e-324, 100_000), (0, -1, 100_001)),
    "large_client_size": ((2, 10**9), (1, 0, 10**9 + 1)),
    "same_touch_seconds": ((None, 0, 5e-324, 10**9), (-1, 10**9 + 1)),
    "same_visit_seconds": ((None, 0, 5e-324, 10**9), (-1, 10**9 + 1)),
    "same_contact_seconds": ((None, 0, 5e-324, 10**9), (-1, 10**9 + 1)),
    "source_precedence": (
        ([], ["it's"], ['a"b'], ["{{ 1 }}"], ["метрика"], ["a b"], ["x" * 100], [str(number) for number in range(100)]),
        (["\N{GRINNING FACE}"], ["a\N{ZERO WIDTH JOINER}b"], ["a\nb"], ["a\0b"], ["\ud83d"], ["a", "a"], ["a:b"], [" a"], ["x" * 101],
         [str(number) for number in range(101)], ["a", 1], "a", None),
    ),
    "report_currency": (("RUB", "KZT"), ("rub", "RU", "RUBL", "₽", None)),
}  # fmt: skip
# Of no setting.
NEVER = (
    float("inf"), float("-inf"), float("nan"), 10**30, -(10**30), 1e300, "inf", "nan", "1e999", " ", "\0", "\ud83d", "a\nb",
    "\N{GRINNING FACE}", "it's", {}, {"a": 1}, [None], [[]], [float("nan")], [{}], "x" * 100_000, date(1, 1, 1),
)  # fmt: skip


def test_every_setting_has_boundaries_here() -> None:
    assert set(BOUNDARIES) == set(Rules.model_fields)


@pytest.mark.parametrize("name", BOUNDARIES)
def test_a_value_is_used_or_refused_by_name(name: str) -> None:
    good, bad = BOUNDARIES[name]
    for value in good:
        variables = Rules.read({name: value}).as_vars()
        # As dbt takes them; YAML's numbers have a point.
        taken = yaml.safe_load(json.dumps(variables, ensure_ascii=False, allow_nan=False))
        assert {key: str(text) for key, text in taken.items()} == {key: str(text) for key, text in variables.items()}
    numeric = Rules.model_fields[name].annotation not in (str, bool)
    for value in (*bad, *NEVER, *((True, False) if numeric and name != "count_direct_touches" else ())):
        with pytest.raises(SettingsError) as refused:
            Rules.read({name: value})
        message = str(refused.value)
        assert name in message, message[:500]
        assert "\n" not in message and len(message) < 400, message[:500]
        message.encode()  # can be printed


def test_what_stands_at_the_boundaries_is_built(tmp_path: Path) -> None:
    """One build for all settings, as most boundaries have nothing to do with one another."""
    largest = {name: good[-1] for name, (good, _) in BOUNDARIES.items()} | {
        "source_precedence": ["it's", 'a"b', "{{ 1 }}", "метрика", "\N{MATHEMATICAL BOLD CAPITAL A}"],
        "position_based_first_share": 5e-324,
        "time_decay_half_life_days": 5e-324,
        "lookback_days": 5e-324,
        "same_touch_seconds": 5e-324,
        "first_load_day": "1970-01-01",
        "report_currency": "RUB",
        "default_phone_region": "RU",
    }
    rules = Rules.read(largest)
    warehouse = Warehouse(tmp_path / "warehouse")
    loads = load_landing(warehouse, golden_marts.LANDING, rules)
    assert {load.outcome for load in loads} == {"loaded"}
    build_marts(warehouse, rules)
    assert Rules.read(json.loads(last_build_settings(warehouse))) == rules


def last_build_settings(warehouse: Warehouse) -> str:
    with warehouse.locked("test"), warehouse.connected() as connection:
        row = connection.execute("select cast(settings as varchar) from raw.builds").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"vars: {}\n", "report_timezone is missing: give it a value; first_load_day is missing"),
        (b"vars:\n", "dbt_project.yml has no settings: they stand below `vars:`"),
        (b"- a\n", "dbt_project.yml has no settings"),
        (b"", "dbt_project.yml has no settings"),
        (b"vars: {\n", "dbt_project.yml can't be read: "),
        ("vars: {a: дом}\n".encode("cp1251"), "dbt_project.yml isn't in UTF-8; save the file as UTF-8"),
    ],
)
def test_a_project_file_without_settings_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    (tmp_path / "dbt_project.yml").write_bytes(content)
    monkeypatch.setattr("pipeline.settings.PROJECT_DIR", tmp_path)
    with pytest.raises(SettingsError) as refused:
        Rules.read()
    assert said in str(refused.value)


def test_a_setting_that_there_is_not_is_reported() -> None:
    with pytest.raises(
        SettingsError, match="lookback_day = 30: there is no such setting; remove it, or correct its name"
    ):
        Rules.read({"lookback_day": 30})


# .env


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ |= before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_an_env_file_is_read_with_a_byte_order_mark_or_without(
    tmp_path: Path, environment: None, encoding: str
) -> None:
    file = tmp_path / ".env"
    file.write_text("FIRST_OF_ENV=дом\r\nSECOND_OF_ENV='b c' # said\r\n", encoding)
    os.environ["SECOND_OF_ENV"] = "set"
    load_environment(file)
    assert (os.environ["FIRST_OF_ENV"], os.environ["SECOND_OF_ENV"]) == ("дом", "set")
    assert "\ufeffFIRST_OF_ENV" not in os.environ
    load_environment(tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("A=1\nB=дом\n".encode("cp1251"), ", line 2: it isn't in UTF-8"),
        ("A=1\n".encode("utf-16"), ", line 1: it isn't in UTF-8"),
        ("A=1\n".encode("utf-16-le"), ", line 1: it holds a NUL byte"),
        (b"A=1\nB=\0\n", ", line 2: it holds a NUL byte"),
        (b"A=1\n\n# x\nWAREHOUSE_DIR data/x\nC=2\n", ", line 4: it is no setting; write it as NAME=value"),
        (b"A='1\nB=2\n", ", line 1: it is no setting; write it as NAME=value"),
        (None, " can't be read: Is a directory"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / ".env"
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load_environment(file)
    assert str(refused.value).startswith(f"{file}{said}")


def test_a_misspelled_name_in_an_env_file_is_reported(
    tmp_path: Path, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "WAREHOSE_DIR=a\nexport Threads=2\nREPORT_LANG=ru\nMEMORY_LIMITS=4GB\n"
        "LANDING_DIR=b\nMANGO_TOKEN=x\nCRM_ADDRESS=y\nREPORT_PORTS=z\nREPORT_TOKEN=t\n",
        "utf-8-sig",
    )
    (tmp_path / "sources.yml").write_text("# not yet YAML: [\n  token_variable: REPORT_PORTS\n", "utf-8")
    monkeypatch.setenv("SOURCES_FILE", str(tmp_path / "sources.yml"))

    assert misspelled_names(file) == {
        "WAREHOSE_DIR": "WAREHOUSE_DIR",
        "Threads": "THREADS",
        "REPORT_LANG": "REPORT_LANGUAGE",
        "MEMORY_LIMITS": "MEMORY_LIMIT",
    }
    monkeypatch.setenv("SOURCES_FILE", str(tmp_path / "gone.yml"))
    assert misspelled_names(file)["REPORT_PORTS"] == "REPORT_PORT"
    assert misspelled_names(tmp_path / "none") == {}


def test_every_name_that_is_read_is_known() -> None:
    read = re.compile(r"""environ(?:\.get)?[\[(]"([A-Z_]+)"|_yes_or_no\("([A-Z_]+)"\)""")
    names = {
        name
        for folder in ("cli", "orchestration", "pipeline", "report", "sources")
        for file in (REPOSITORY / folder).rglob("*.py")
        for name in map("".join, read.findall(file.read_text("utf-8")))
    }
    assert {"WAREHOUSE_DIR", "MASK_PHONES", "SOURCES_FILE"} <= names <= set(KNOWN_NAMES)
    documented = (REPOSITORY / "docs/operations.md").read_text("utf-8") + (REPOSITORY / "docs/report.md").read_text(
        "utf-8"
    )
    assert set(re.findall(r"^\| `([A-Z_]+)`", documented, re.MULTILINE)) <= set(KNOWN_NAMES)


def test_commands_warn_of_a_misspelled_name_before_they_fail(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    (project / ".env").write_text("LANDNG_DIR=exports\n", "utf-8")
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "LANDING_DIR"}

    outcome = subprocess.run(
        [sys.executable, "-m", "cli", "load"], cwd=project, env=environment, capture_output=True, text=True
    )

    assert outcome.returncode == 1
    warning, failure = outcome.stderr.splitlines()
    assert warning == "Warning: `.env`: LANDNG_DIR is not a setting; did you mean LANDING_DIR?"
    assert failure.startswith("Failed: There is no folder ")


def test_commands_name_an_env_file_that_cannot_be_read(tmp_path: Path) -> None:
    """With a project of its own, as `.env` is the project's."""
    project = copied_project(tmp_path / "project")
    (project / ".env").write_bytes("LANDING_DIR=дом\n".encode("cp1251"))
    fault = f"{project / '.env'}, line 1: it isn't in UTF-8; save the file as UTF-8."
    commands = [
        *(("-m", "cli", command) for command in ("load", "fetch", "look")),
        ("-m", "report"),
        ("-m", "pipeline.settings", "true"),  # before what `make metrics` and `make dev` run
    ]  # fmt: skip
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "LANDING_DIR"}

    processes = [
        subprocess.Popen([sys.executable, *command], cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for command in commands
    ]  # fmt: skip

    for command, process in zip(commands, processes, strict=True):
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 1, (command, said)
        assert said.strip().removeprefix("Failed: ") == fault, command
    assert not (project / "data").exists()
