"""What the commands do and say, as their users see it."""

import csv
import gzip
import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import golden_marts
import pytest
from exports_desk import DAY, MANGO, NEXT_DAY, Desk
from places import sorted_rows
from processes import ENVIRONMENT, Finished, Site, copied_project, golden_site
from random_deliveries import read_deliveries
from rich.table import Table

from cli.output import console, errors
from pipeline.last_update import last_update
from pipeline.marts import CHANNEL_ATTRIBUTION, MARTS
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.updating import load_days


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The worked cases in generation 1. To be copied before anything is changed."""
    return golden_site(tmp_path_factory)


@pytest.fixture
def site(loaded: Site, tmp_path: Path) -> Site:
    return loaded.copy_to(tmp_path)


def assert_golden(site: Site, expected_name: str) -> None:
    """What readers get is the worked cases' result."""
    for mart, rows in golden_marts.read_expected(expected_name).items():
        if mart == "rejected":
            continue
        columns = list(rows[0])
        given = [
            dict(zip(columns, row, strict=True)) for row in site.published(f"select {', '.join(columns)} from {mart}")
        ]
        assert sorted_rows(golden_marts.as_golden_rows(given, columns)) == sorted_rows(rows), mart


def counts_of(landing: Path) -> dict[str, list[str]]:
    """Deliveries, rows delivered, loaded and set aside of each table of the worked cases."""
    rejected = golden_marts.read_expected("expected")["rejected"]
    counts = {}
    for table in ("touches", "contacts"):
        deliveries = [delivery for delivery in read_deliveries(landing) if delivery.table == table]
        delivered = sum(len(rows) for delivery in deliveries for rows in delivery.files.values())
        set_aside = sum(row["table"] == table for row in rejected)
        counts[table] = [str(count) for count in (len(deliveries), delivered, delivered - set_aside, set_aside)]
    return counts


def test_a_load_tells_what_became_of_every_row(loaded: Site) -> None:
    outcome = Finished(**json.loads((loaded.folder / "load.json").read_text("utf-8")))

    for table, counts in counts_of(loaded.landing).items():
        assert outcome.table_row(table) == [table, *counts, "0"]
    for reason in golden_marts.read_expected("expected")["rejected"]:
        assert f"rejected: {reason['table']}, {reason['reason']}: " in outcome.said
    assert "Generation 1, data through 2026-03-03" in outcome.said
    for mart in MARTS:
        assert f"{mart} {len(loaded.marts()[mart])}" in outcome.said
    assert_golden(loaded, "expected")


def test_a_second_load_has_nothing_to_do(site: Site) -> None:
    outcome = site.load()

    assert "Nothing to do: all 6 deliveries" in outcome.said
    assert "Generation 1," in outcome.said
    assert site.publications.numbers() == [1]


def test_status_tells_what_is_loaded_and_what_is_pending(site: Site) -> None:
    new, changed = site.landing / "touches/2026-03-04", site.landing / "contacts/2026-03-02/part-1.csv"
    new.mkdir()
    (new / "part-1.csv.gz").write_bytes(gzip.compress(b"touch_id,widget_id,touched_at\n"))
    changed.write_text(changed.read_text("utf-8") + "\n", "utf-8")

    outcome = site.run("status")

    assert outcome.exit_code == 0
    for table, (days, *counts) in counts_of(golden_marts.LANDING).items():
        assert outcome.table_row(table) == [table, days, "2026-03-01", "2026-03-03", *counts]
    for reason in golden_marts.read_expected("expected")["rejected"]:
        assert f"rejected: {reason['table']}, {reason['reason']}: " in outcome.said
    assert "Generation 1, data through 2026-03-03" in outcome.said
    assert "kept generations: 1\n" in outcome.said
    assert [line.strip() for line in outcome.said.splitlines() if "pending" in line] == [
        "pending: contacts/2026-03-02 (changed)",
        "pending: touches/2026-03-04 (new)",
    ]


def test_rows_that_are_set_aside_can_be_looked_at(loaded: Site, tmp_path: Path) -> None:
    expected = golden_marts.read_expected("expected")["rejected"]
    where = [(row["table"], row["load_day"], row["file"], row["row"], row["reason"]) for row in expected]
    everything = tmp_path / "set aside.csv"

    shown = loaded.run("rejected")
    written = loaded.run("rejected", "--out", str(everything))

    assert sorted(re.findall(r"^(\w+)/([^/]+)/(.+), row (\d+): (\w+)$", shown.said, re.MULTILINE)) == sorted(where)
    assert written.exit_code == 0
    with open(everything, encoding="utf-8", newline="") as content:
        read = list(csv.DictReader(content))
    assert sorted((row["table"], row["day"], row["file"], row["row"], row["reason"]) for row in read) == sorted(where)
    delivered = {
        (table, file.parent.name): file.read_text("utf-8").splitlines()
        for table in ("touches", "contacts")
        for file in (golden_marts.LANDING / table).rglob("*.csv")
    }
    for row in read:
        line = delivered[row["table"], row["day"]][int(row["row"])]
        assert set(json.loads(row["text"]).values()) <= set(next(csv.reader([line])))
    assert shown.said.splitlines()[-1] == "`rejected --out FILE` writes all of them, with their whole text."
    assert len(loaded.run("rejected", "--limit", "1").said.splitlines()) < len(shown.said.splitlines())


def test_a_rejected_row_is_shown_by_its_export_in_a_few_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk, site = Desk(tmp_path), Site(tmp_path)
    monkeypatch.setenv("LANDING_DIR", str(site.landing))
    desk.write("mango.csv", MANGO, "windows-1251")
    desk.fetch(desk.source("mango_calls_export.yml", "mango.csv", name="mango", site="okna"), DAY, NEXT_DAY)
    header = "contact_id,widget_id,contacted_at,contact_type,client_name,x\n"
    (site.landing / "contacts" / str(DAY) / "plain.csv").write_text(
        f"{header}c1,w1\nc2,w1,2025-11-20T10:00:00Z,[call],Анна,{'много слов ' * 99}\n", "utf-8"
    )
    twice, deep = '{"contact_id": "c1", "contact_id": "c2"}', f'{{"contact_id": "c3", "x": {"[" * 2000 + "]" * 2000}}}'
    (site.landing / "contacts" / str(DAY) / "plain.jsonl").write_text(f"{twice}\n{deep}\n", "utf-8")
    with site.warehouse.locked("test"):
        list(load_days(site.warehouse, "contacts", [DAY, NEXT_DAY], desk.rules))

    shown = site.run("rejected").said
    assert all(len(line) <= 160 for line in shown.splitlines())
    blocks = [block.splitlines() for block in re.split(r"\n(?! )", shown.strip())]
    assert {heading: len(text) for heading, *text in blocks[:-1]} == {
        f"mango.csv, row 6 (contacts/{NEXT_DAY}/mango-rows.parquet, row 1): unreadable_contacted_at": 2,
        f"mango.csv, row 7 (contacts/{NEXT_DAY}/mango-rows.parquet, row 3): missing_contact_id": 1,
        f"mango.csv, row 4 (contacts/{DAY}/mango-rows.parquet, row 4): unknown_contact_type": 2,
        f"contacts/{DAY}/plain.csv, row 1: unparsable_row": 1,
        f"contacts/{DAY}/plain.csv, row 2: unknown_contact_type": 2,
        f"contacts/{DAY}/plain.jsonl, row 1: unparsable_row": 1,
        f"contacts/{DAY}/plain.jsonl, row 2: missing_widget_id": 2,
    }
    text = {heading.partition(" (")[0]: lines for heading, *lines in blocks}
    assert text["mango.csv, row 6"][0].startswith('  {"contacted_at": "99.11.2025", "contact_id": "files:mango:1006", ')
    assert "export_" not in shown
    assert text["mango.csv, row 7"] == ['  1007;21.11.2025;09:10:00;звонок;"8916"1234573;;;;;;;']
    assert text[f"contacts/{DAY}/plain.csv, row 1: unparsable_row"] == ["  c1,w1"]
    assert text[f"contacts/{DAY}/plain.jsonl, row 1: unparsable_row"] == [f"  {twice}"]
    first, second = text[f"contacts/{DAY}/plain.csv, row 2: unknown_contact_type"]
    assert first.startswith('  {"contact_type": "[call]", "contact_id": "c2", "widget_id": "w1", ')
    assert second.endswith("много слов …")


def test_large_clients_are_reported_with_the_line_that_leaves_their_identifier_out(site: Site, tmp_path: Path) -> None:
    site.load("--full-refresh", "--vars", '{"large_client_size": 2}')

    outcome = site.run("status")

    lines = re.findall("add a line `(.*)` to seeds/ignored_identifiers.csv", outcome.said)
    identifiers = site.published("select identifier_kind, identifier from _large_clients limit 10")
    assert len(lines) == len(identifiers) > 1
    seed = tmp_path / "ignored_identifiers.csv"
    seed.write_text("\n".join([(PROJECT_DIR / "seeds" / seed.name).read_text("utf-8").strip(), *lines, ""]), "utf-8")
    with duckdb.connect() as connection:
        connection.execute("create table seed (identifier_kind varchar, identifier varchar, reason varchar)")
        connection.execute(f"copy seed from '{seed}' (format csv, header)")  # as dbt reads it
        added = "select identifier_kind, identifier from seed where reason = 'shared by many'"
        read = connection.execute(added).fetchall()
    assert read == identifiers


def test_a_broken_file_fails_its_day_only_until_it_is_mended(tmp_path: Path) -> None:
    site = Site(tmp_path)
    for file in golden_marts.LANDING.rglob("*.csv"):
        copy = site.landing / file.relative_to(golden_marts.LANDING)
        copy.parent.mkdir(parents=True)
        copy.write_bytes(file.read_bytes())
    broken = site.landing / "touches/2026-03-02/part-1.csv"
    whole = broken.read_bytes()
    broken.write_bytes(whole.replace(b"vk", b"\xff", 1))
    today = Rules.read().today()
    for day in (today, today + timedelta(days=1)):
        for table, header in (("touches", b"touch_id,widget_id,touched_at\n"), ("contacts", b"contact_id,widget_id\n")):
            (site.landing / table / str(day)).mkdir()
            (site.landing / table / str(day) / "part-1.csv").write_bytes(header)

    # The notice is given, but whatever gives it fails: the load's own words stay.
    alert = tmp_path / "alert"
    failed = site.run(
        "load", ALERT_COMMAND=f"cat > '{alert}'; test \"$ALERT_TEXT\" = \"$(cat '{alert}')\" && exit 3; exit 4"
    )

    assert failed.exit_code == 1
    assert "Not loaded, and pending until mended: 2026-03-02." in failed.failure
    assert "touches/2026-03-02/part-1.csv is not UTF-8" in failed.failure
    assert "5 deliveries loaded: " in failed.said
    assert "1 delivery failed: touches of 2026-03-02" in failed.said
    assert alert.read_text("utf-8").startswith("load failed: Not loaded, and pending until mended: 2026-03-02.")
    assert "touches/2026-03-02/part-1.csv" in alert.read_text("utf-8")
    assert "ALERT_COMMAND failed: " in failed.progress and "status 3" in failed.progress
    # All else is published; days that aren't over yet aren't looked at (R9).
    assert "Generation 1, data through 2026-03-03" in failed.said
    told = last_update(site.warehouse.folder)
    assert told and (told.outcome, told.generation) == ("published", 1)
    if Rules.read().today() != today:
        pytest.skip("midnight has passed: the day that was today is loaded")
    assert site.published(
        "select table_name, load_day::text, outcome from _loads where outcome <> 'loaded' order by all"
    ) == [("touches", "2026-03-02", "failed")]
    assert len(site.published("from _loads")) == 6
    assert [line.strip() for line in site.run("status").said.splitlines() if "pending" in line] == [
        "pending: touches/2026-03-02 (failed, pending until mended)"
    ]

    broken.write_bytes(whole)
    mended = site.load("-v")

    assert mended.table_row("touches") == ["touches", "1", "20", "20", "0", "0"]
    assert "Generation 2," in mended.said
    assert_golden(site, "expected")


def test_days_and_settings_of_a_fresh_warehouse(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.landing.symlink_to(golden_marts.LANDING)

    outcome = site.load("--from", "2026-03-02", "--to", "2026-03-02", "--vars", '{"lookback_days": 1}')

    assert "is not read" not in outcome.progress, "other days are not asked for"
    loads = "select table_name, load_day::text from _loads where outcome = 'loaded' order by all"
    assert site.published(loads) == [("contacts", "2026-03-02"), ("touches", "2026-03-02")]
    assert site.publications.meta(1)["data_through"].isoformat() == "2026-03-02"

    site.load("--vars", '{"lookback_days": 1}')

    assert len(site.published(loads)) == 6
    assert json.loads(site.publications.meta(2)["settings"])["lookback_days"] == 1
    assert_golden(site, "expected_lookback_1_day")

    refused = site.run("load", "--vars", '{"lookback_days": 2}')

    assert refused.exit_code == 1
    assert "built with other settings (lookback_days: 1.0 → 2.0)" in refused.failure
    assert "WAREHOUSE_DIR" in refused.failure and "--full-refresh" in refused.failure
    assert site.publications.numbers() == [1, 2]


def test_reloading_rolling_back_and_rebuilding_otherwise(site: Site) -> None:
    before = site.marts()

    site.load("--reload", "--from", "2026-03-03", "--to", "2026-03-03")

    assert site.publications.current() == 2
    assert site.marts() == before
    assert site.published("select count(*), count(superseded_by) from _loads") == [(8, 2)]
    assert site.private(
        "select count(*) from raw.touches inner join raw.loads using (load_id) where superseded_by > 0"
    ) == [(0,)]

    back = site.run("rollback")

    assert back.exit_code == 0 and "generation 1 until `resume`" in back.said
    assert site.publications.current() == 1

    unknown = site.run("rollback", "--to", "99")

    assert unknown.exit_code == 1
    assert "Generation 99 is not kept; kept are: 1, 2" in unknown.failure
    assert site.publications.current() == 1

    held = site.load("--full-refresh", "--vars", '{"lookback_days": 1}')

    assert "generation 3 is ready, but readers stay at generation 1" in held.progress
    assert "readers are held at generation 1 by a rollback" in held.said
    assert site.publications.numbers() == [1, 2, 3]
    assert site.marts() == before
    assert "Nothing to do" in site.load("--vars", '{"lookback_days": 1}').said
    assert site.publications.current() == 1

    go_on = site.run("resume")

    assert go_on.exit_code == 0 and "generation 3" in go_on.said
    assert_golden(site, "expected_lookback_1_day")
    assert site.run("rollback", "--to", "2").exit_code == 0
    assert site.marts() == before


@pytest.mark.parametrize("command", [("rollback",), ("resume",), ("export", "--out", "{folder}/out")])
def test_commands_that_need_a_publication_say_so(tmp_path: Path, command: tuple[str, ...]) -> None:
    outcome = Site(tmp_path).run(*(word.replace("{folder}", str(tmp_path)) for word in command))

    assert outcome.exit_code == 1
    assert "no earlier generation" in outcome.failure or "published yet" in outcome.failure


def test_the_only_generation_cannot_be_rolled_back(site: Site) -> None:
    outcome = site.run("rollback")

    assert outcome.exit_code == 1
    assert "There is no earlier generation to roll back to." in outcome.failure
    assert site.publications.pinned() is None


def test_export_writes_the_published_marts(loaded: Site, tmp_path: Path) -> None:
    out = tmp_path / "it's out"
    outcome = loaded.run("export", "--out", str(out))

    assert outcome.exit_code == 0, outcome.progress
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f"{mart}.parquet" for mart in (*MARTS, CHANNEL_ATTRIBUTION)
    )
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for mart, rows in loaded.marts().items():
            assert f"{mart}.parquet" in outcome.said
            exported = connection.read_parquet(str(out / f"{mart}.parquet"))
            assert sorted(exported.fetchall(), key=repr) == rows
            types = [data_type for _, data_type, *_ in loaded.published(f"describe {mart}")]
            assert [str(data_type) for data_type in exported.types] == types


def test_a_demo_can_be_loaded(tmp_path: Path) -> None:
    site = Site(tmp_path)

    demo = site.run("demo", "--out", str(site.landing), "--days", "3", "--touches", "400")
    loaded = site.load()

    assert demo.exit_code == 0 and f"{site.landing}: 9 deliveries of 3 days, " in demo.said
    assert "(fresh)" in loaded.said
    assert "9 deliveries loaded: " in loaded.said
    assert len(site.marts()["journal"]) > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "--out", "{file}"), "'{file}' is a file"),
        (("demo", "--out", "{new}", "--days", "36501"), "'--days': Input should be less than or equal to 36500"),
        (("demo", "--out", "{new}", "--seed", "-1"), "'--seed': Input should be greater than or equal to 0"),
        (("demo", "--out", "{new}", "--days", "30", "--last-day", "0001-01-05"), "30 days until 0001-01-05 would begin before"),
        (("export", "--out", "{file}"), "'{file}' is a file"),
        (("export", "--out", "{file}/marts"), "{file}/marts can't be made (Not a directory): name a folder"),
        (("load", "--from", "2020-01-01", "--to", "2020-01-02"), "no delivery of 2020-01-01 to 2020-01-02 has landed"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_or_found_is_named(
    site: Site, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    places = {"file": str(tmp_path / "file"), "new": str(tmp_path / "new")}
    Path(places["file"]).touch()

    outcome = site.run(*(argument.format(**places) for argument in arguments))

    # Typer breaks lines in its boxes.
    letters = "".join((outcome.said + outcome.progress).replace("│", "").split())
    assert "".join(message.format(**places).split()) in letters
    assert not Path(places["new"]).exists()


def test_a_file_where_the_warehouse_should_be_is_named(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    outcome = site.run("load", WAREHOUSE_DIR=str(file))

    assert outcome.exit_code == 1
    assert f"The folder {file} can't be made (File exists): set WAREHOUSE_DIR" in outcome.failure


def test_the_last_day_of_a_demo_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    site = Site(tmp_path)

    site.run("demo", "--out", str(site.landing), "--days", "2", "--touches", "40", "--last-day", "2026-03-31")

    assert sorted(folder.name for folder in (site.landing / "touches").iterdir()) == ["2026-03-30", "2026-03-31"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ("lookback_days: 1", "--vars is not JSON"),
        ("[]", "--vars must be a JSON object"),
        ('{"lookback": 1}', "lookback = 1"),
        ('{"history_scope": "forever"}', "history_scope = 'forever'"),
        ('{"lookback_days": -1}', "lookback_days = -1"),
        ('{"report_timezone": "Mars/Olympus"}', "no time zone is called 'Mars/Olympus'"),
        ('{"report_timezone": "../etc"}', "no time zone is called '../etc'"),
    ],
)
def test_settings_that_cannot_be_used_are_reported(tmp_path: Path, variables: str, said: str) -> None:
    site = Site(tmp_path)
    site.landing.mkdir()

    outcome = site.run("load", "--vars", variables)

    assert outcome.exit_code == 1
    assert said in outcome.failure
    assert not site.warehouse.folder.exists()


@pytest.mark.parametrize(
    ("days", "exit_code", "said"),
    [
        (("--from", "2026-03-03", "--to", "2026-03-02"), 1, "no day to load from 2026-03-03 to 2026-03-02"),
        (("--from", "2999-01-01"), 1, "no day to load from 2999-01-01"),
        (("--from", "03.03.2026"), 2, "Invalid value"),
    ],
)
def test_days_that_cannot_be_loaded_are_reported(
    tmp_path: Path, days: tuple[str, ...], exit_code: int, said: str
) -> None:
    site = Site(tmp_path)
    site.landing.mkdir()

    outcome = site.run("load", *days)

    assert outcome.exit_code == exit_code
    assert said in outcome.progress


def test_a_missing_landing_folder_is_no_empty_one(site: Site) -> None:
    nowhere, alert = site.folder / "nowhere", site.folder / "alert"

    outcome = site.run("load", LANDING_DIR=str(nowhere), ALERT_COMMAND=f"cat > '{alert}'")

    assert outcome.exit_code == 1
    assert f"There is no folder {nowhere}" in outcome.failure and "LANDING_DIR" in outcome.failure
    assert alert.read_text("utf-8").startswith(f"load failed: There is no folder {nowhere}")
    assert site.publications.numbers() == [1]


def test_a_home_of_dagster_that_is_no_whole_path_is_reported(site: Site) -> None:
    outcome = site.run("load", DAGSTER_HOME="data/dagster")

    assert outcome.exit_code == 1
    assert "DAGSTER_HOME = 'data/dagster': give the whole path" in outcome.failure


@pytest.mark.parametrize("command", ["load", "resume"])
@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_warehouse_folder_that_cannot_be_made_is_reported(tmp_path: Path, command: str, place: str) -> None:
    site = Site(tmp_path)
    site.landing.mkdir()
    (tmp_path / "file").write_text("", "utf-8")

    outcome = site.run(command, WAREHOUSE_DIR=str(tmp_path / place))

    assert outcome.exit_code == 1
    assert str(tmp_path / "file") in outcome.failure


@pytest.mark.parametrize("target", ["run", "dev", "report", "metrics"])
def test_the_demo_is_not_fetched_into(target: str) -> None:
    """Whoever has sources of their own looks at the demo, too."""
    make = ["make", "--dry-run", "--always-make", target, "DEMO_DATA=1"]
    commands = subprocess.run(make, cwd=PROJECT_DIR, capture_output=True, text=True, check=True).stdout
    assert "SOURCES_FILE=/dev/null LANDING_DIR=" in commands


def test_without_a_command_there_is_help(tmp_path: Path) -> None:
    outcome = Site(tmp_path).run()

    assert all(
        command in outcome.said + outcome.progress for command in ("load", "status", "rollback", "resume", "export")
    )


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that lies in a folder, when it was changed and what it holds."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def test_status_makes_nothing_where_nothing_is(tmp_path: Path) -> None:
    """With a project of its own, as some of what commands make is the project's."""
    project = copied_project(tmp_path / "project")
    before = everything_in(project)
    environment = {name: value for name, value in ENVIRONMENT.items() if name not in ("LANDING_DIR", "WAREHOUSE_DIR")}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # or Python would make folders of its own
    process = subprocess.run(
        [sys.executable, "-m", "cli", "status"], cwd=project, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert "nothing is published yet" in process.stdout
    assert everything_in(project) == before


def test_status_changes_nothing_where_something_is(site: Site) -> None:
    before = everything_in(site.folder)
    assert site.run("status").exit_code == 0
    assert everything_in(site.folder) == before


def test_status_is_shown_while_others_look_and_while_a_load_works(site: Site) -> None:
    with duckdb.connect(str(site.warehouse.file), read_only=True):
        assert site.run("status").exit_code == 0
    (site.landing / "touches" / "2026-03-03" / "more.csv").write_text("touch_id,touched_at,widget_id\n", "utf-8")
    with site.warehouse.locked("test"), site.warehouse.connected():
        outcome = site.run("status")
    assert outcome.exit_code == 0, outcome.progress
    assert "pending: touches/2026-03-03 (changed)" in outcome.said


def test_rejected_makes_nothing_where_nothing_is(tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    outcome = site.run("rejected")
    assert outcome.failure.strip() == "Nothing is loaded yet: run a load first."
    assert not site.folder.exists()


def test_a_terminal_without_cyrillic_letters_is_shown_their_numbers(loaded: Site) -> None:
    environment = loaded.environment() | {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    outcome = subprocess.run(
        [sys.executable, "-m", "cli", "look"], cwd=PROJECT_DIR, env=environment, capture_output=True
    )
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    assert outcome.stdout.isascii()
    assert "Журнал".encode("ascii", "backslashreplace") in outcome.stdout


def test_ids_are_printed_as_they_are() -> None:
    text = "files:mango:1001"
    for printing in (console, errors):
        shown = Table("id")
        shown.add_row(text)
        with printing.capture() as captured:
            printing.print(text)
            printing.print(shown)
        assert captured.get().count(text) == 2
