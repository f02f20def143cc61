"""What a machine may give to the pipeline: settings, who uses them, and what is said when they can't be used."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest
from processes import ENVIRONMENT, REPOSITORY, Site

from orchestration import building, publishing
from orchestration.settings import DEFAULT_MEMORY_LIMIT, Rules, Settings, SettingsError
from orchestration.warehouse import Warehouse

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
        ("MEMORY_LIMIT", "0%", "above 0%"),
        ("MEMORY_LIMIT", "160%", "at most 100%"),
        ("MEMORY_LIMIT", "64MB", "at least 200MB"),
        ("THREADS", "0", "whole number from 1"),
        ("THREADS", "many", "whole number from 1"),
        ("THREADS", "1.5", "whole number from 1"),
        ("THREADS", "100000", "from 1 to 1024"),
    ],
)
def test_what_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch, name: str, text: str, said: str) -> None:
    monkeypatch.setenv(name, text)
    with pytest.raises(SettingsError) as refused:
        Settings.read()
    assert str(refused.value).startswith(f"{name} = {text!r}: ")
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


def test_a_temporary_folder_that_cannot_be_made_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        outcome = building.run_dbt(warehouse.folder, ["show", "--inline", query], Rules.read())
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
        connection.execute("create table touch_credits (contact_id text, linear decimal(18, 12))")
    asked = []

    def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
        asked.append(resources_of(connection))
        return 0

    monkeypatch.setattr(publishing, "_count", count)
    with warehouse.locked("test"):
        publishing._audit(file, Rules.read(), dict.fromkeys(publishing.MARTS, 0), warehouse.resources())
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
    for name in (*building.BUILT_FROM, "profiles.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.setattr(building, "PROJECT_DIR", tmp_path)
    return tmp_path


def test_the_project_is_parsed_once_and_anew_when_it_or_a_setting_changes(project: Path) -> None:
    leftover = project / "target" / "parsed" / "parse-killed" / "dbt"
    leftover.mkdir(parents=True)
    rules = Rules.read()

    manifest = building.prepared_manifest()

    assert manifest.is_file()
    assert [folder.name for folder in manifest.parent.parent.iterdir() if folder.is_dir()] == [manifest.parent.name]
    written = manifest.stat().st_mtime_ns
    assert building.prepared_manifest() == manifest
    assert manifest.stat().st_mtime_ns == written

    german = building._parsed_project(Rules.read({"default_phone_region": "DE"}))
    assert german != manifest.parent
    assert building._parsed_project(rules) == manifest.parent

    (project / "tests" / "new.sql").write_text("select 1 where false", "utf-8")
    with_test = building._parsed_project(rules)
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
    assert {name for name, value in rules.as_vars().items() if changed[name] == value} == set(building.PARSED_SETTINGS)

    outcome = building.run_dbt(tmp_path, ["parse"], Rules.read(others))

    assert outcome.success, outcome.exception
    assert parsed_nodes(tmp_path / "dbt" / "manifest.json") == parsed_nodes(building.prepared_manifest())


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
    monkeypatch.setattr(building, "PARSED_KEPT", 2)
    parsed = project / "target" / "parsed"
    for age, name in enumerate(("new", "older", "oldest")):
        (parsed / name).mkdir(parents=True)
        os.utime(parsed / name, (time.time() - 100 * age - 100,) * 2)
    oldest = parsed / building._parsing_fingerprint(Rules.read())
    (parsed / "oldest").rename(oldest)

    assert building._parsed_project(Rules.read()) == oldest  # which makes it the latest
    german = building._parsed_project(Rules.read({"default_phone_region": "DE"}))

    assert {folder for folder in parsed.iterdir() if folder.is_dir()} == {oldest, parsed / "new", german}
