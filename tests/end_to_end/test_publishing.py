"""What is published, when it isn't, and what readers notice of it."""

import errno
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import golden_marts
import pytest
import yaml
from places import Place, build_marts, load_landing, rows_of
from processes import Reader, Site, golden_site

from pipeline.building import build
from pipeline.dbt_runner import Build, NodeResult
from pipeline.fingerprints import fingerprint
from pipeline.last_update import LastUpdate, last_update, record_update
from pipeline.ledger import last_settings
from pipeline.marts import CHANNEL_ATTRIBUTION, DAY_COLUMNS, MARTS, VIEWS
from pipeline.publishing import PublicationError, generations, replacing
from pipeline.publishing.generations import KEPT_GENERATIONS
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.warehouse import Warehouse, is_in_use
from report.queries import FAILED_LOADS

RULES = Rules.read()
ZEROTH, FIRST, SECOND, THIRD = date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3)

# docs/rules.md, Marts.
CONTRACT = {
    "journal": """
        contact_id text, widget_id text, widget_name text, brand_id text, client_id text, contact_type text,
        contacted_at timestamptz, contact_date date, contact_number bigint, client_name text, phone text, location text,
        is_multichannel boolean, icon text, touch_count bigint, channel_count bigint, channels varchar[],
        touch_chain text, first_touch_at timestamptz, last_touch_at timestamptz, final_group text, is_unique boolean,
        call_page text, duration bigint, value decimal(18;2), attributes json, not_multichannel_reason text,
        collapsed_chain text, unique_chain text, later_touch_count bigint, earlier_touch_count bigint,
        left_out_direct_count bigint
    """,
    "client_card": """
        client_id text, brand_id text, phone text, phones varchar[], emails varchar[], visitor_ids varchar[],
        crm_client_ids varchar[], client_name text, location text, first_touch_at timestamptz, first_contact_id text,
        first_contact_at timestamptz, last_contact_at timestamptz, contact_count bigint,
        multichannel_contact_count bigint, tied_by varchar[]
    """,
    "interaction_history": """
        contact_id text, touch_rank bigint, touch_id text, client_id text, touched_at timestamptz, action_type text,
        location text, utm_source text, utm_medium text, utm_campaign text, utm_term text, utm_content text,
        source text, medium text, channel text, landing_page text, device_type text, visited_pages varchar[],
        time_on_site bigint, visit_duration bigint, page_hash text, is_unique boolean, final_group text,
        call_page text, phone text, channel_told_by text, channel_rule_order integer
    """,
    "client_history": """
        client_id text, contact_number bigint, contact_id text, contact_type text, contacted_at timestamptz,
        location text, widget_id text, touch_count bigint, is_multichannel boolean, highlight text
    """,
    "contact_counts": """
        widget_id text, contact_date date, contact_type text, contact_count bigint, multichannel_contact_count bigint,
        single_channel_contact_count bigint, no_touches_contact_count bigint
    """,
    "touch_chains": """
        widget_id text, contact_date date, chain text, collapsed_chain text, unique_chain text, contact_count bigint,
        multichannel_contact_count bigint, touch_count bigint, median_seconds_to_contact bigint
    """,
    "channel_steps": """
        widget_id text, contact_date date, channel text, next_channel text, step_count bigint,
        multichannel_step_count bigint
    """,
    "channel_participation": """
        grain text, widget_id text, contact_date date, channel text, source text, medium text, campaign text,
        contact_count bigint, opened_count bigint, assisted_count bigint, closed_count bigint, alone_count bigint,
        multichannel_contact_count bigint, multichannel_opened_count bigint, multichannel_assisted_count bigint,
        multichannel_closed_count bigint
    """,
    "channel_worths": "brand_id text, channel text, markov decimal(18;12), shapley decimal(38;12)",
    "touch_credits": """
        contact_id text, contact_date date, contact_type text, widget_id text, brand_id text, is_multichannel boolean,
        value decimal(18;2), touch_rank bigint, touch_id text, touched_at timestamptz, channel text, source text,
        medium text, campaign text, utm_term text, channel_told_by text, channel_rule_order integer,
        first_touch decimal(18;12), last_touch decimal(18;12), last_non_direct decimal(18;12), linear decimal(18;12),
        position_based decimal(18;12), time_decay decimal(18;12), markov decimal(18;12), shapley decimal(18;12)
    """,
    "channel_credits": """
        widget_id text, contact_date date, channel text, model text, contact_count bigint,
        credited_contacts decimal(38;12), credited_value decimal(38;14)
    """,
    "unmapped_sources": """
        kind text, widget_id text, source text, medium text, contact_count bigint, touch_count bigint,
        last_contact_date date
    """,
    "channel_costs": """
        cost_date date, widget_id text, channel text, source text, medium text, campaign text, term text, content text,
        ad_id text, amount decimal(38;2), impressions bigint, clicks bigint
    """,
    "channel_performance": """
        performance_date date, channel text, campaign text, model text, match text, spend decimal(38;2),
        impressions bigint, clicks bigint, contact_count bigint, multichannel_contact_count bigint,
        credited_contacts decimal(38;12), credited_value decimal(38;14), cost_per_contact double, return_on_spend double
    """,
    "metric_days": "metric_date date",
    "channel_attribution": """
        contact_id text, contact_date date, contact_type text, widget_id text, brand_id text, is_multichannel boolean,
        touch_rank bigint, touch_id text, touched_at timestamptz, channel text, source text, medium text, campaign text,
        utm_term text, channel_told_by text, channel_rule_order integer, model text, credit decimal(18;12),
        credited_value decimal(36;14)
    """,
}
DUCKDB_TYPES = {"text": "VARCHAR", "timestamptz": "TIMESTAMP WITH TIME ZONE"}


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The worked cases in generation 1. To be copied before anything is changed."""
    return golden_site(tmp_path_factory)


@pytest.fixture
def site(loaded: Site, tmp_path: Path) -> Iterator[Site]:
    """A copy that this process has to itself."""
    site = loaded.copy_to(tmp_path)
    with site.warehouse.locked("test"):
        yield site


def change(site: Site, *statements: str) -> None:
    """Changes the private file behind the pipeline's back."""
    with site.warehouse.connected() as connection:
        for statement in statements:
            connection.execute(statement)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# What readers get


@pytest.mark.parametrize("mart", (*MARTS, CHANNEL_ATTRIBUTION))
def test_columns_and_types_are_the_contract(loaded: Site, mart: str) -> None:
    contract = [column.split() for column in CONTRACT[mart].split(",")]

    assert [(name, data_type) for name, data_type, *_ in loaded.published(f"describe {mart}")] == [
        (name, DUCKDB_TYPES.get(data_type, data_type.upper().replace(";", ","))) for name, data_type in contract
    ]


EXPLAINING = ("_builds", "_changes", "_large_clients", "_loads", "_meta", "_rejected", "_same_events")


def test_the_file_is_called_marts_and_holds_what_it_should(loaded: Site) -> None:
    tables = loaded.published(
        "select schema_name, table_name from duckdb_tables() where database_name = 'marts' order by all"
    )

    assert tables == [
        ("main", table)
        for table in sorted((*EXPLAINING, "_path_credits", "_touch_credits", *(set(MARTS) - set(VIEWS))))
    ]
    for mart in MARTS:
        assert loaded.published(f"from {mart}") == loaded.published(f"from marts.{mart}")
    assert loaded.published("select schema_name, view_name from duckdb_views() where not internal order by all") == [
        ("main", view) for view in sorted(VIEWS)
    ]


MODELS = ("first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay", "markov", "shapley")


def test_the_view_tells_the_credits_row_by_row(loaded: Site) -> None:
    columns = [
        name
        for name, *_ in loaded.published("describe channel_attribution")
        if name not in ("credit", "credited_value")
    ]
    unpivoted = loaded.published(
        f"""
        select {", ".join(columns)}, credit, cast(cast(value as decimal(20, 2)) * credit as decimal(36, 14)) as credited_value
        from (unpivot touch_credits on {", ".join(MODELS)} into name model value credit)
        order by all
        """
    )
    assert unpivoted
    assert loaded.published(
        f"select {', '.join(columns)}, credit, credited_value from channel_attribution order by all"
    ) == (unpivoted)


def test_credits_add_up_to_the_journal_by_every_model(site: Site) -> None:
    value = "set value = 3.33 * length(contact_id) where contact_id <> 'c-two'"
    change(site, f"update marts.journal {value}", f"update intermediate.int_touch_credits {value}")
    site.publications.publish(RULES)

    journal = site.published("select count(*), sum(value) from journal")
    assert journal[0][0] > 5 and journal[0][1] > 100
    sums = site.published("select model, sum(credit), sum(credited_value) from channel_attribution group by model")
    assert {model: (contacts, value) for model, contacts, value in sums} == dict.fromkeys(MODELS, journal[0])
    of_contacts = site.published("select sum(credit) from channel_attribution group by contact_id, model")
    assert {credit for (credit,) in of_contacts} == {1}


def test_the_view_is_read_wherever_the_file_is_attached(loaded: Site) -> None:
    query = "select model, sum(credit), sum(credited_value) from {}channel_attribution group by model order by model"
    expected = loaded.published(query.format(""))
    with duckdb.connect() as connection:
        # Whatever else is called so, and whichever database is asked by default.
        connection.execute("create schema marts; create table marts.touch_credits as select 1 as contact_id")
        connection.execute(f"attach '{loaded.publications.link}' as \"other name\" (read_only)")
        assert connection.execute(query.format('"other name".')).fetchall() == expected
        assert connection.execute(query.format('"other name".main.')).fetchall() == expected
        connection.execute('use "other name"')
        assert connection.execute(query.format("")).fetchall() == expected


def test_the_file_says_what_it_was_made_of(loaded: Site) -> None:
    meta = loaded.publications.meta(1)

    assert meta["generation"] == 1
    assert meta["data_through"].isoformat() == "2026-03-03"
    assert meta["built_at"].tzinfo is not None
    assert meta["fingerprint"] == fingerprint(RULES)
    assert json.loads(meta["settings"]) == RULES.as_vars()
    assert json.loads(meta["row_counts"]) == {mart: len(rows) for mart, rows in loaded.marts().items()}
    assert [(load_id,) for load_id in meta["load_ids"]] == loaded.published("select load_id from _loads order by all")
    assert meta["build_id"] in [build for (build,) in loaded.private("select build_id from raw.builds")]
    assert loaded.private("from raw.loads order by all") == loaded.published("from _loads order by all")


def test_rejected_rows_are_counted_and_not_shown(loaded: Site) -> None:
    rejected = golden_marts.read_expected("expected")["rejected"]
    columns = ["load_id", "table_name", "load_day", "file_name", "reason", "row_count"]

    assert [name for name, *_ in loaded.published("describe _rejected")] == columns
    published = loaded.published(
        "select table_name, load_day::text, file_name, reason, row_count from _rejected order by all"
    )
    keys = [(row["table"], row["load_day"], row["file"], row["reason"]) for row in rejected]
    assert published == sorted((*key, keys.count(key)) for key in set(keys))
    set_aside = [text for (text,) in loaded.private("select row_text from raw.rejected_rows")]
    assert set_aside
    told = repr(loaded.published("from _rejected") + loaded.published("from _loads") + loaded.published("from _meta"))
    assert not any(value in told for text in set_aside for value in ("v-local", text))


def test_only_the_marts_can_be_read_by_others(site: Site) -> None:
    with site.warehouse.connected() as connection:
        connection.execute("create table raw.scribble as select 1 as one")
        private = [path for path in site.warehouse.folder.glob("warehouse.*")]
        assert sorted(path.name for path in private) == ["warehouse.duckdb", "warehouse.duckdb.wal", "warehouse.lock"]
        assert {path.name: mode(path) for path in private if mode(path) != 0o600} == {}
        connection.execute("drop table raw.scribble")
    site.publications.publish(RULES)
    for number in (1, 2):
        assert mode(site.publications.file(number)) == 0o444
        assert mode(site.publications.file(number).parent) == 0o755
    assert mode(site.publications.folder) == 0o755


def test_what_is_written_after_the_warehouse_is_let_go_is_as_public_as_ever(tmp_path: Path) -> None:
    former = os.umask(0o022)
    try:
        with Site(tmp_path).warehouse.locked("test"), Site(tmp_path).warehouse.locked("the same"):
            pass
        (tmp_path / "public").touch()
    finally:
        os.umask(former)
    assert mode(tmp_path / "public") == 0o644


def test_the_link_can_move_house(loaded: Site, site: Site) -> None:
    link = site.publications.link

    assert os.readlink(link) == "generations/000001/marts.duckdb"
    assert link.resolve() == site.publications.file(1).resolve()
    assert site.marts() == loaded.marts()
    site.publications.publish(RULES)
    assert os.readlink(link) == "generations/000002/marts.duckdb"
    assert site.marts() == loaded.marts()
    assert site.leftovers() == []


def test_older_readers_can_open_it(loaded: Site) -> None:
    command = Path(sys.executable).with_name("duckdb")
    query = "select count(*), (select count(*) from marts.client_card) from journal"

    outcome = subprocess.run(
        [command, "-readonly", "-csv", "-noheader", loaded.publications.link, query], capture_output=True, text=True
    )

    assert outcome.stderr == ""
    assert outcome.stdout.strip() == f"{len(loaded.marts()['journal'])},{len(loaded.marts()['client_card'])}"
    assert "v1.5" in subprocess.run([command, "--version"], capture_output=True, text=True).stdout


def test_tools_with_an_older_duckdb_can_open_it(loaded: Site) -> None:
    with duckdb.connect(str(loaded.publications.link), read_only=True) as connection:
        tags = connection.execute("select tags from duckdb_databases() where not internal").fetchone()
    assert tags and tags[0]["storage_version"].startswith("v1.2.0")


def test_tables_and_columns_carry_comments(loaded: Site) -> None:
    properties = yaml.safe_load((PROJECT_DIR / "models/marts/_marts.yml").read_text("utf-8"))["models"]
    (journal,) = (model for model in properties if model["name"] == "journal")

    tables = loaded.published(
        "select table_name, comment from duckdb_tables() union all select view_name, comment from duckdb_views() where not internal"
    )
    columns = loaded.published("select table_name, column_name, comment from duckdb_columns() where not internal")

    assert [table for table, comment in tables if not comment] == []
    # DuckDB has none for columns of views.
    assert {table for table, _, comment in columns if not comment} == set(VIEWS)
    assert {name: comment for table, name, comment in columns if table == "journal"} == {
        column["name"]: column["description"] for column in journal["columns"]
    }


# What is written of a generation


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Three days in a generation written in order, and a fourth that was built, which changes something else of each.

    Of the day before them, only the cost changes.
    """
    place = Place(tmp_path_factory.mktemp("grown"))
    day_before = ZEROTH - timedelta(days=1)
    for day in (ZEROTH, FIRST, SECOND):
        place.deliver("touches", day, [touch(f"t-{day}-{number}", day, number) for number in range(4)])
        place.deliver("contacts", day, [contact(f"c-{day}-{number}", day, number) for number in range(4)])
        place.deliver("costs", day, [cost(day, "10"), cost(day_before, "10")])
    place.update()
    # A campaign is in credits alone: it names no channel.
    corrected = [
        touch(f"t-{ZEROTH}-1", ZEROTH, 1, utm_campaign="other"),
        touch(f"t-{FIRST}-2", FIRST, 2, utm_source="other"),
    ]
    place.deliver("touches", THIRD, [touch("t-third", THIRD, 1), *corrected])
    place.deliver("contacts", THIRD, [contact("c-third", THIRD, 1), contact(f"c-{SECOND}-3", SECOND, 3, value="70")])
    place.deliver("costs", THIRD, [cost(FIRST, "30"), cost(day_before, "20")])
    build_marts(place.warehouse, RULES)
    return place


@pytest.fixture
def place(grown: Place, tmp_path: Path) -> Place:
    shutil.copytree(grown.warehouse.folder, tmp_path / "warehouse", symlinks=True)
    return Place(tmp_path)


def touch(touch_id: str, day: date, person: int, **values: str) -> dict[str, str]:
    return {
        "touch_id": touch_id,
        "widget_id": "w-test",
        "touched_at": f"{day}T08:00:00Z",
        "utm_source": f"source-{person % 2}",
        "utm_medium": "cpc",
        "visitor_id": f"v-{person}",
        **values,
    }


def contact(contact_id: str, day: date, person: int, **values: str) -> dict[str, str]:
    return {
        "contact_id": contact_id,
        "widget_id": "w-test",
        "contacted_at": f"{day}T10:00:00Z",
        "contact_type": "call",
        "visitor_id": f"v-{person}",
        **values,
    }


def cost(day: date, amount: str) -> dict[str, str]:
    return {"cost_date": str(day), "source": "source-1", "medium": "cpc", "amount": amount, "currency": "RUB"}


def publish_and_compare(place: Place) -> int | None:
    """Publishes; the generation must be the private file's marts. Returns its `ordered_bytes`."""
    with place.warehouse.locked("test"):
        number = place.publications.publish(RULES).number
        with duckdb.connect(str(place.publications.file(number)), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            published = {mart: rows_of(connection, f"from {mart}") for mart in (*MARTS, CHANNEL_ATTRIBUTION)}
            comments = connection.execute("select count(*), count(comment) from duckdb_tables()").fetchone()
        with place.warehouse.connected() as connection:
            private = {mart: rows_of(connection, f"from marts.{mart}") for mart in (*MARTS, CHANNEL_ATTRIBUTION)}
        ordered_bytes: int | None = place.publications.meta(number)["ordered_bytes"]
    assert {mart for mart in private if sorted(map(repr, published[mart])) != sorted(map(repr, private[mart]))} == set()
    assert comments and comments[0] == comments[1]
    assert mode(place.publications.file(number)) == 0o444
    return ordered_bytes


def test_a_large_generation_is_made_of_a_copy_of_the_one_before(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replacing, "SMALLEST_COPY", 0)
    monkeypatch.setattr(replacing, "LARGEST_GROWTH", 10)
    first = place.publications.file(1)
    before = first.read_bytes()
    with duckdb.connect(str(first), read_only=True) as connection:
        used = connection.execute("select used_blocks * block_size from pragma_database_size()").fetchone()

    assert (publish_and_compare(place),) == used

    assert first.read_bytes() == before
    assert "as a whole" not in caplog.text
    assert {change for change, _ in place.changes().values()} == {"new", "other verdict"}


@pytest.mark.parametrize(("setting", "value"), [("SMALLEST_COPY", 10**9), ("LARGEST_GROWTH", 0)])
def test_what_is_small_or_has_grown_is_written_in_order(
    place: Place, monkeypatch: pytest.MonkeyPatch, setting: str, value: int
) -> None:
    monkeypatch.setattr(replacing, "SMALLEST_COPY", 0)
    monkeypatch.setattr(replacing, setting, value)

    assert publish_and_compare(place) is None


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("delete from journal where contact_id = 'c-2026-03-01-0'", "published.journal has"),
        (
            "insert into contact_counts from contact_counts select * replace (date '2026-02-01' as contact_date) limit 1",
            "other contact counts",
        ),
        ("drop table touch_chains", "touch_chains"),
    ],
)
def test_instead_of_a_copy_that_turns_out_wrong_everything_is_written(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, statement: str, message: str
) -> None:
    monkeypatch.setattr(replacing, "SMALLEST_COPY", 0)
    first = place.publications.file(1)
    first.chmod(0o644)
    with duckdb.connect(str(first)) as connection:
        connection.execute(statement)
    checksum = first.with_suffix(".sha256")
    checksum.chmod(0o644)
    checksum.write_text(generations.checksum_of(first))

    assert publish_and_compare(place) is None

    assert "generation 2 is written as a whole" in caplog.text
    assert message in caplog.text and "stays published" not in caplog.text


def test_no_copy_is_made_of_a_damaged_generation(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Even where nobody reads what is damaged: it would be carried into every later generation."""
    monkeypatch.setattr(replacing, "SMALLEST_COPY", 0)
    first = place.publications.file(1)
    first.chmod(0o644)
    content = bytearray(first.read_bytes())
    content[-1] ^= 1  # in the last block's unused end, which DuckDB's own checksum covers, if the block is read
    first.write_bytes(content)

    assert publish_and_compare(place) is None

    assert "Generation 1 is damaged" in caplog.text and "other bytes than were published" in caplog.text


def test_no_copy_is_made_of_a_generation_without_a_checksum(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As earlier versions published it."""
    monkeypatch.setattr(replacing, "SMALLEST_COPY", 0)
    place.publications.file(1).with_suffix(".sha256").unlink()

    assert publish_and_compare(place) is None


def test_a_checksum_is_one_that_others_can_check(place: Place) -> None:
    folder = place.publications.file(1).parent

    subprocess.run(["sha256sum", "--check", "--strict", "marts.sha256"], cwd=folder, check=True)


def test_no_copy_is_published_where_credits_of_paths_do_not_add_up(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(replacing, "SMALLEST_COPY", 0)
    # Of contacts that stay as they are, so that the audit of a copy doesn't look at these. The sums over all stay, too.
    with place.warehouse.locked("test"), place.warehouse.connected() as connection:
        for contact_id, change in (("c-2026-03-01-0", 0.1), ("c-2026-03-02-0", -0.1)):
            connection.execute(
                f"""
                update intermediate.int_path_credits set markov = markov + {change}
                where touch_position = 1 and path_key in (
                    select path_key from intermediate.int_touch_credits where contact_id = '{contact_id}'
                )
                """
            )

    fault = "2 paths whose credits do not add up"
    with (
        place.warehouse.locked("test"),
        pytest.raises(PublicationError, match=f"{fault}.*stays published.*builds everything again"),
    ):
        place.publications.publish(RULES)

    assert "the copy can't be published" in caplog.text and fault in caplog.text


@pytest.mark.parametrize(
    "statement",
    [
        "update raw.builds set fingerprint = 'other' where published_at is null",
        "update raw.builds set is_full = true where published_at is null",
        "update raw.builds set build_id = 'another' where published_at is not null",
    ],
)
def test_only_what_the_build_went_on_from_is_copied(
    place: Place, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.setattr(replacing, "SMALLEST_COPY", 0)
    with place.warehouse.locked("test"), place.warehouse.connected() as connection:
        connection.execute(statement)

    assert publish_and_compare(place) is None


def test_marts_by_day_count_nothing_that_their_days_are_not_found_by() -> None:
    for mart in DAY_COLUMNS:
        query = (PROJECT_DIR / "models/marts" / f"{mart}.sql").read_text("utf-8")
        assert [column for column in replacing.COUNTED_BY_NO_DAY if column in query] == []


# What is not published

LATER_LOAD = """
    insert into raw.loads by name
    select * replace ((select max(load_id) + 1 from raw.loads) as load_id) from raw.loads
    where table_name = 'touches' and load_day = '2026-03-03' and outcome = 'loaded'
"""


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("delete from raw.builds", "Nothing was built yet"),
        ("update raw.builds set outcome = 'failed'", "is failed"),
        ("update raw.builds set outcome = 'partial'", "is partial"),
        ("update raw.builds set outcome = 'running', finished_at = null", "is running"),
        ("update raw.builds set settings = null, fingerprint = null", "not a whole one"),
        (
            "insert into raw.builds by name select 'later' as build_id, now() as started_at, 'running' as outcome",
            "is running",
        ),
        (LATER_LOAD, "loaded after the last build"),
    ],
)
def test_only_a_whole_build_of_all_loads_is_published(site: Site, statement: str, message: str) -> None:
    change(site, statement)

    assert_refused(site, message)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "delete from marts.journal where contact_id = 'c-two'",
            "1 contacts that are in only one of journal and client history",
        ),
        (
            "delete from marts.client_history where contact_id = 'c-two'",
            "1 contacts that are in only one of journal and client history",
        ),
        ("update marts.client_history set touch_count = touch_count + 1", "or with another number of touches"),
        (
            "insert into marts.journal from marts.journal where contact_id = 'c-two'",
            "1 contacts that are in the journal twice",
        ),
        (
            "insert into marts.client_history from marts.client_history where contact_id = 'c-two'",
            "1 contacts that are in a client history twice",
        ),
        ("insert into marts.client_card from marts.client_card limit 1", "1 clients with two cards"),
        (
            "delete from marts.client_card where first_contact_id = 'c-two'",
            "1 clients whose card counts other contacts",
        ),
        (
            "update marts.client_card set contact_count = 5 where first_contact_id = 'c-two'",
            "1 clients whose card counts",
        ),
        (
            "insert into marts.interaction_history from marts.interaction_history where touch_id = 't001'",
            "1 touches that are in an interaction history twice",
        ),
        (
            "delete from marts.interaction_history where contact_id = 'c-two' and touch_rank = 1",
            "is not as long as the journal",
        ),
        (
            "delete from marts.interaction_history where contact_id = 'c-two'",
            "1 multichannel contacts whose history is not",
        ),
        (
            "update marts.interaction_history set contact_id = 'c-none' where contact_id = 'c-two'",
            "2 multichannel contacts whose history is not as long",
        ),
        (
            "update marts.interaction_history set touched_at = contacted_at from marts.journal "
            "where journal.contact_id = interaction_history.contact_id and touch_id = 't001'",
            "1 touches that happened at their contact or after it",
        ),
        (
            "update marts.journal set contact_date = date '2026-03-04' where contact_id = 'c-two'",
            "1 contacts after the last loaded day",
        ),
    ],
)
def test_the_audit_refuses_marts_that_do_not_fit_together(site: Site, statement: str, message: str) -> None:
    change(site, statement)

    assert_refused(site, message)


def assert_refused(site: Site, message: str) -> None:
    """Nothing is published, and all that is stays as it was."""
    file, link = site.publications.file(1), os.readlink(site.publications.link)
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    # A replaced row, which only a publication may drop.
    change(
        site,
        "insert into raw.touches (load_id) values (-1)",
        "insert into raw.loads (load_id, superseded_by) values (-1, 1)",
    )

    with pytest.raises(PublicationError) as refusal:
        site.publications.publish(RULES)

    assert message in str(refusal.value)
    assert what_became(site) == ("failed", "publication", str(refusal.value), None)
    assert os.readlink(site.publications.link) == link
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert [path.name for path in site.publications.folder.iterdir()] == ["000001"]
    assert site.leftovers() == []
    assert site.private("select count(*) from raw.touches where load_id = -1") == [(1,)]


def test_what_is_right_passes_the_audit_whatever_the_settings(site: Site) -> None:
    # A touch within the grace after its contact, and histories that are cut.
    grace = Rules.read({"contact_grace_seconds": 60, "history_touch_limit": 1})
    change(
        site,
        "delete from marts.interaction_history where touch_rank > 1",
        "update marts.interaction_history set touched_at = contacted_at + interval 59 seconds from marts.journal "
        "where journal.contact_id = interaction_history.contact_id",
    )

    assert site.publications.publish(grace).number == 2
    change(site, "update marts.interaction_history set touched_at = touched_at + interval 1 second")
    with pytest.raises(PublicationError, match="at their contact or after it"):
        site.publications.publish(grace)


# What became of the last update


def what_became(site: Site) -> tuple[str, str | None, str | None, int | None]:
    told = last_update(site.warehouse.folder)
    assert told is not None
    return told.outcome, told.step, told.message, told.generation


def test_readers_see_what_became_of_the_last_update(site: Site) -> None:
    file = site.warehouse.folder / "last_update.json"
    assert what_became(site) == ("published", None, None, 1)
    assert json.loads(file.read_text("utf-8"))["at"].endswith("+00:00")
    change(site, "update marts.client_card set contact_count = contact_count + 1")
    assert_refused(site, "whose card counts")
    change(site, "update marts.client_card set contact_count = contact_count - 1")
    site.publications.publish(RULES)
    assert what_became(site) == ("published", None, None, 2)
    assert mode(file) == 0o644
    # What was to be published is, though it failed afterwards or was cut short.
    record_update(site.warehouse.folder, "failed", "publication", "a name \udcff that is no text")
    assert what_became(site) == ("failed", "publication", "a name \udcff that is no text", None)
    site.publications.finish()
    finished_at = last_update(site.warehouse.folder)
    site.publications.finish()
    assert last_update(site.warehouse.folder) == finished_at
    assert what_became(site) == ("published", None, None, 2)


def test_an_outcome_that_cannot_be_recorded_stops_nothing_and_hides_nothing(site: Site) -> None:
    file = site.warehouse.folder / "last_update.json"
    file.unlink()
    (file / "in the way").mkdir(parents=True)

    assert site.publications.publish(RULES).number == 2
    change(site, "delete from raw.builds")
    with pytest.raises(PublicationError, match="Nothing was built yet"):
        site.publications.publish(RULES)
    assert last_update(site.warehouse.folder) is None
    record_update(site.warehouse.folder / "nowhere", "started", "build")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "3", "\0", '{"outcome": "published"}'),
        '{"outcome": "done", "at": "2026-03-01T00:00:00+00:00", "step": null, "message": null, "generation": 1}',
        '{"outcome": "failed", "at": "2026-03-01T00:00:00", "step": null, "message": null, "generation": null}',
        '{"outcome": "failed", "at": "yesterday", "step": null, "message": null, "generation": null}',
        '{"outcome": "failed", "at": "2026-03-01T00:00:00+00:00", "step": "lunch", "message": null, "generation": null}',
        '{"outcome": "failed", "at": "2026-03-01T00:00:00+00:00", "step": null, "message": 3, "generation": null}',
        '{"outcome": "failed", "at": "2026-03-01T00:00:00+00:00", "step": null, "message": null, "generation": "1"}',
    ],
)
def test_what_cannot_be_read_of_an_update_is_nothing(tmp_path: Path, text: str) -> None:
    assert last_update(tmp_path) is None
    (tmp_path / "last_update.json").write_text(text, "utf-8")
    assert last_update(tmp_path) is None
    record_update(tmp_path, "started", "build")
    assert isinstance(last_update(tmp_path), LastUpdate)


def test_whether_a_warehouse_is_in_use_is_seen_without_taking_it(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "warehouse")
    assert not is_in_use(warehouse.folder)
    assert not warehouse.folder.exists()
    with warehouse.locked("test"):
        assert is_in_use(warehouse.folder)
    assert not is_in_use(warehouse.folder)
    with warehouse.locked("test", wait_seconds=0):
        pass


# What is kept


def test_the_last_generations_are_kept_and_those_that_readers_are_held_at(site: Site) -> None:
    publications = site.publications
    for _ in range(3):
        publications.publish(RULES)
    assert publications.rollback(2) == 2
    for _ in range(KEPT_GENERATIONS):
        held = publications.publish(RULES)

    newest = KEPT_GENERATIONS + 4
    assert (held.number, held.is_linked) == (newest, False)
    assert publications.numbers() == [2, *range(5, newest + 1)]
    assert (publications.current(), publications.pinned()) == (2, 2)
    # Who reads what is published may know why it is that.
    assert publications.pin.stat().st_mode & 0o777 == 0o644
    assert publications.resume() == newest
    publications.publish(RULES)
    assert publications.numbers() == list(range(6, newest + 2))
    assert sorted(path.name for path in publications.folder.iterdir()) == [
        f"{number:06}" for number in publications.numbers()
    ]
    assert (publications.current(), publications.pinned()) == (newest + 1, None)


def test_a_generation_whose_removal_was_cut_short_is_none(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_short(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error", str(folder))

    publications = site.publications
    for _ in range(KEPT_GENERATIONS - 1):
        publications.publish(RULES)
    with monkeypatch.context() as broken, pytest.raises(OSError, match="Input/output error"):
        broken.setattr(shutil, "rmtree", cut_short)
        publications.publish(RULES)
    assert publications.numbers() == list(range(2, KEPT_GENERATIONS + 2))

    publications.publish(RULES)
    assert sorted(path.name for path in publications.folder.iterdir()) == [
        f"{number:06}" for number in publications.numbers()
    ]


def test_readers_are_not_held_at_a_generation_that_somebody_removed(site: Site) -> None:
    site.publications.publish(RULES)
    site.publications.rollback(1)
    site.publications.file(1).unlink()

    assert site.publications.publish(RULES).is_linked
    assert site.publications.current() == 3


def test_leftovers_of_a_crash_are_removed(site: Site) -> None:
    for leftover in ("000001.tmp", "000002.tmp"):
        (site.publications.folder / leftover).mkdir()
        (site.publications.folder / leftover / "marts.duckdb").write_bytes(b"half")
        (site.publications.folder / leftover / "marts.duckdb.wal").write_bytes(b"half")
    site.publications.link.with_suffix(".new").symlink_to("generations/nowhere")

    assert site.publications.publish(RULES).number == 2
    assert site.leftovers() == []


def test_replaced_rows_are_dropped_and_their_ledger_stays(site: Site) -> None:
    entries = site.private("select count(*) from raw.loads")[0][0]
    change(
        site,
        LATER_LOAD,
        """
        update raw.loads set superseded_by = (select max(load_id) from raw.loads)
        where table_name = 'touches' and load_day = '2026-03-03' and load_id < (select max(load_id) from raw.loads)
        """,
        """
        insert into raw.touches by name
        select touches.* replace (superseded_by as load_id)
        from raw.touches inner join raw.loads on touches.load_id = loads.load_id where superseded_by > 0
        """,
        "update raw.builds set last_load_id = (select max(load_id) from raw.loads)",
    )
    live = site.raw_rows()["touches"]

    site.publications.publish(RULES)

    assert site.private("select count(*) from raw.loads") == [(entries + 1,)]
    assert site.published("select count(*), count(superseded_by) from _loads") == [(entries + 1, 1)]
    # Held twice before: by the replaced load and by the one that replaced it.
    assert [count for _, day, count in live if str(day) == "2026-03-03"] == [12]
    assert [count for _, day, count in site.raw_rows()["touches"] if str(day) == "2026-03-03"] == [6]
    assert site.private(
        "select count(*) from raw.rejected_rows inner join raw.loads using (load_id) where superseded_by > 0"
    ) == [(0,)]
    # What the replaced load set aside isn't told any more.
    assert site.published("select count(*) from _rejected where table_name = 'touches'") == [(0,)]


# Whether there is anything to publish


@pytest.mark.parametrize(
    ("statement", "is_up_to_date"),
    [
        ("select 1", True),
        (LATER_LOAD, False),
        ("update raw.loads set superseded_by = 99 where load_id = 1", False),
        ("update raw.builds set outcome = 'failed'", False),
        ("update raw.builds set outcome = 'running'", False),
        (
            "insert into raw.builds by name select * replace ('new' as build_id, now() as started_at) from raw.builds",
            False,
        ),
        ("insert into raw.loads by name select 99 as load_id, 'failed' as outcome, 'touches' as table_name", True),
    ],
)
def test_being_up_to_date(site: Site, statement: str, is_up_to_date: bool) -> None:
    change(site, statement)

    assert site.publications.is_up_to_date(fingerprint(RULES)) is is_up_to_date


def test_nothing_is_up_to_date_with_other_settings_or_without_a_publication(site: Site, tmp_path: Path) -> None:
    assert not site.publications.is_up_to_date(fingerprint(Rules.read({"lookback_days": 1})))
    assert not Site(tmp_path / "new").publications.is_up_to_date(fingerprint(RULES))


def test_a_rollback_changes_nothing_about_it(site: Site) -> None:
    site.publications.publish(RULES)
    site.publications.rollback()

    assert site.publications.is_up_to_date(fingerprint(RULES))
    site.publications.finish()
    assert site.publications.current() == 1


def test_a_build_that_was_cut_short_does_not_forget_the_settings(site: Site) -> None:
    change(site, "insert into raw.builds by name select 'new' as build_id, now() as started_at, 'running' as outcome")

    with site.warehouse.connected() as connection:
        assert last_settings(connection) == RULES.as_vars()


# What readers notice


def test_a_reader_sees_one_whole_generation_from_beginning_to_end(site: Site) -> None:
    query = "select (select generation from _meta), count(*), count(distinct client_name), max(location) from journal"
    reader = Reader(site.publications.link)
    first = reader.ask(query)
    assert first == site.published(query)

    for number in (2, 3):
        change(site, f"update marts.journal set client_name = 'Generation {number}', location = '{number}'")
        site.publications.publish(RULES)

        assert reader.ask(query) == first
        assert site.published(query) == [(number, first[0][1], 1, str(number))]
        newcomer = Reader(site.publications.link)
        assert newcomer.ask(query) == site.published(query)
        newcomer.close()
    reader.close()


def test_a_warehouse_from_before_records_were_numbered_is_brought_up_to_date(loaded: Site, site: Site) -> None:
    change(site, "alter table raw.touches drop record_number", "alter table raw.contacts drop record_number")
    change(site, "delete from raw.builds")

    assert build(site.warehouse, RULES).is_passed
    site.publications.publish(RULES)

    assert site.marts() == loaded.marts()
    order = "select list(record_number order by load_id, file_name, row_number) from raw.touches"
    ((numbers,),) = site.private(order)
    assert numbers == sorted(set(numbers))


def test_a_delivery_that_failed_and_was_put_right_is_no_longer_reported(site: Site) -> None:
    file = site.landing / "touches" / "2026-03-02" / "part-1.csv"
    content = file.read_bytes()
    file.write_bytes(b"\0" * 100)
    assert "failed" in [load.outcome for load in load_landing(site.warehouse, site.landing, RULES)]
    site.publications.publish(RULES)
    ((table, day, message),) = site.published(FAILED_LOADS)
    assert (table, day) == ("touches", date(2026, 3, 2)) and file.name in message

    # The same bytes as are loaded, so that nothing is loaded.
    file.write_bytes(content)
    assert [load.outcome for load in load_landing(site.warehouse, site.landing, RULES)] == ["unchanged"]
    site.publications.publish(RULES)

    assert site.published(FAILED_LOADS) == []
    # It was tried all the same.
    assert site.published("select count(*) from _loads where outcome = 'failed' and message like '%part-1.csv%'") == [
        (1,)
    ]


def test_a_delivery_that_fails_twice_is_reported_once_by_its_latest_failure(site: Site) -> None:
    file = site.landing / "touches" / "2026-03-02" / "part-1.csv"
    for content in (b"\0" * 100, b"not,a,column\n1,2,3\n"):
        file.write_bytes(content)
        load_landing(site.warehouse, site.landing, RULES)
    site.publications.publish(RULES)
    ((_, _, message),) = site.published(FAILED_LOADS)
    ((latest,),) = site.published("select arg_max(message, load_id) from _loads where outcome = 'failed'")
    assert message == latest


def test_what_failed_is_reported_and_not_what_was_skipped_because_of_it() -> None:
    def node(name: str, is_passed: bool = False, is_skipped: bool = False) -> NodeResult:
        message = "Skipping due to fail" if is_skipped else "division by zero"
        return NodeResult(name, "model", "marts", name, is_passed, is_skipped, message, 0, 0.1)

    failed, skipped = node("journal"), node("client_card", is_skipped=True)
    assert Build(False, (node("good", is_passed=True), failed, skipped)).explain() == "model journal: division by zero"
    assert Build(False, (skipped,)).explain() == "model client_card: Skipping due to fail"
    assert Build(False, (failed,), error="It broke.").explain() == "It broke.\nmodel journal: division by zero"
