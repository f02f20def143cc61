"""Files of the warehouse that are damaged, for real: what every command says, in one line, and what repairs it."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from forks import for_commands
from processes import ENVIRONMENT, REPOSITORY, Finished, Site, finished, golden_site, python

from pipeline.last_update import last_update
from pipeline.publishing import PublicationError
from pipeline.settings import Rules
from pipeline.warehouse import DamageError, is_damage, repair

RULES = Rules.read()
BLOCK = 262_144


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return golden_site(tmp_path_factory)


@pytest.fixture
def site(loaded: Site, tmp_path: Path) -> Site:
    return loaded.copy_to(tmp_path / "it's a дом")


def overwritten(content: bytes, count: int) -> bytes:
    """Random bytes in the middle, as a failing disk leaves them."""
    chance = random.Random(count)
    broken = bytearray(content)
    for position in range(12_288, len(content) - 512, max(BLOCK // count, 512)):
        start = position + chance.randrange(256)
        broken[start : start + 64] = chance.randbytes(64)
    return bytes(broken)


# What a file becomes; nothing: a folder of its name.
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "emptied": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "cut in its header": lambda content: content[:5_000],
    "a zeroed header": lambda content: bytes(4_096) + content[4_096:],
    "zeroed headers": lambda content: bytes(12_288) + content[12_288:],
    "all zeros": lambda content: bytes(len(content)),
    "text": lambda content: "это не база\n".encode() * 999,
    "a web page": lambda content: b"<html>403</html>",
    "some random bytes": lambda content: overwritten(content, 1),
    "many random bytes": lambda content: overwritten(content, 64),
    "a folder": lambda content: None,
}


def damage(file: Path, how: str) -> None:
    content = DAMAGES[how](file.read_bytes())
    file.unlink()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)


def newest(site: Site) -> Path:
    return site.publications.file(site.publications.numbers()[-1])


def one_line(outcome: Finished, *said: str) -> None:
    assert outcome.exit_code == 1, outcome
    message = outcome.failure.strip()
    assert "\n" not in message, message
    for words in said:
        assert words in message


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_private_file_is_named_with_what_to_do(site: Site, how: str) -> None:
    damage(site.warehouse.file, how)
    with site.warehouse.locked("test"):
        with pytest.raises(DamageError) as raised, site.warehouse.connected() as connection:
            # Bytes in the middle are met where they lie.
            for table in ("loads", "touches", "contacts", "rejected_rows", "builds"):
                connection.execute(f"select max(hash({table})) from raw.{table}").fetchall()
        assert str(raised.value).startswith(f"{site.warehouse.file} is damaged or can't be opened (")
        assert "`load --full-refresh`" in str(raised.value) and "\n" not in str(raised.value)

        repair(site.warehouse)

        with site.warehouse.connected() as connection:
            assert connection.execute("select count(*) from raw.loads").fetchall() == [(0,)]
    (aside,) = site.warehouse.folder.glob("warehouse.duckdb.aside-*")
    assert aside.is_dir() == (how == "a folder")


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_generation_is_named_with_what_to_do(site: Site, how: str) -> None:
    file = newest(site)
    damage(file, how)
    with pytest.raises(DamageError) as raised, site.publications.opened(1) as connection:
        for (table,) in connection.execute("select table_name from duckdb_tables()").fetchall():
            connection.execute(f"select max(hash(whole)) from (from {table}) as whole").fetchall()
    assert str(raised.value).startswith(f"Generation 1 is damaged ({file}: ")
    assert "`load --full-refresh`" in str(raised.value) and "\n" not in str(raised.value)


def test_every_command_that_needs_the_private_file_says_so(site: Site, loaded: Site) -> None:
    damage(site.warehouse.file, "cut in half")
    for command in (("load",), ("status",), ("verify",), ("rejected",)):
        one_line(site.run(*command), f"{site.warehouse.file} is damaged", "`load --full-refresh`")
        told = last_update(site.warehouse.folder)
        assert told and told.outcome == "failed" and "is damaged" in (told.message or "")
    assert site.marts() == loaded.marts(), "readers have what they had"
    assert site.run("look").exit_code == 0


def test_every_command_that_needs_the_generation_says_so(site: Site, tmp_path: Path) -> None:
    damage(newest(site), "a zeroed header")
    out = tmp_path / "out"
    for command in (("load",), ("status",), ("verify",), ("look",), ("resume",), ("export", "--out", str(out))):
        one_line(site.run(*command), "Generation 1 is damaged", "`load --full-refresh`")
    one_line(site.run("rollback"), "There is no earlier generation")
    one_line(site.run("rollback", "--to", "1"), "Generation 1 is damaged")
    assert not out.exists()
    told = last_update(site.warehouse.folder)
    assert told and told.outcome == "failed"


def damage_rows_of(table: str, file: Path) -> None:
    """Only reading the table's rows finds it out."""
    with duckdb.connect(str(file), read_only=True) as connection:
        (block,) = connection.execute(
            f"select min(block_id) from pragma_storage_info('{table}') where block_id >= 0"
        ).fetchall()
    file.chmod(0o600)
    with open(file, "r+b") as opened:
        opened.seek(12_288 + block[0] * BLOCK + 4_096)
        opened.write(random.Random(1).randbytes(512))


def test_rows_that_cannot_be_read_are_loaded_anew(site: Site, loaded: Site) -> None:
    damage_rows_of("raw.touches", site.warehouse.file)
    with site.warehouse.locked("test"), site.warehouse.connected() as connection:
        assert connection.execute("select count(*) from raw.touches").fetchall() != [(0,)]

    outcome = site.load("--full-refresh")

    assert "is damaged" in outcome.progress and "a new one is begun" in outcome.progress
    assert site.marts() == loaded.marts()
    assert site.raw_rows() == loaded.raw_rows()


def test_bytes_in_the_middle_are_found_by_who_reads_them(site: Site) -> None:
    damage_rows_of("journal", newest(site))
    one_line(site.run("look"), "Generation 1 is damaged", "checksum")
    with site.warehouse.locked("test"):
        # It isn't compared with, nor gone back to.
        assert site.publications.publish(RULES).number == 2
        with pytest.raises(PublicationError, match="no earlier generation"):
            site.publications.rollback()
    assert site.run("look").exit_code == 0


def problems_of_job(site: Site, job: str) -> list[str]:
    """Why a job's steps failed, as Dagster shows it and notices say it. In a process where all is imported."""
    import dagster as dg

    from orchestration.definitions import defs
    from orchestration.steps import step_problem

    os.environ |= site.environment()
    options = {"full_refresh": False} if job == "rebuild" else {}
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(job).execute_in_process(
            instance=instance, raise_on_error=False, run_config={"resources": {"pipeline": {"config": options}}}
        )
        return [step_problem(event) for event in result.all_events if event.is_step_failure]


@pytest.mark.parametrize("job", ["rebuild", "verification"])
def test_dagster_says_so_in_one_line(site: Site, job: str) -> None:
    private, copy = site.warehouse.file, site.folder / "whole.duckdb"
    shutil.copy(private, copy)
    damage(private, "text")
    told = for_commands().tell(problems_of_job, site, job)
    assert told and told[0].startswith(f"{private} is damaged") and "\n" not in told[0], told
    copy.rename(private)
    damage(newest(site), "text")
    told = for_commands().tell(problems_of_job, site, job)
    assert told and told[0].startswith("Generation 1 is damaged") and "\n" not in told[0], told


# What stands in the link's place


def put(link: Path, what: str, folder: Path) -> None:
    link.unlink()
    if what == "a file":
        shutil.copy(folder / "generations" / "000001" / "marts.duckdb", link)
    elif what == "an empty file":
        link.touch()
    elif what == "a folder":
        link.mkdir()
    else:
        link.symlink_to(what)


NO_LINKS = ("a file", "an empty file", "a folder")
FOREIGN = (
    "/etc/passwd", "../elsewhere/000001/marts.duckdb", "/elsewhere/generations/000001/marts.duckdb", "generations/000001",
    "generations/1/marts.duckdb", "generations/000001/other.duckdb", "generations/newest/marts.duckdb", "marts.duckdb",
)  # fmt: skip


@pytest.mark.parametrize("what", NO_LINKS + FOREIGN)
def test_what_is_no_link_to_a_generation_is_named_and_replaced(loaded: Site, site: Site, what: str) -> None:
    link = site.publications.link
    put(link, what, site.warehouse.folder)
    said = "is no link to a generation" if what in NO_LINKS else f"leads to {what}, which is no generation"
    for look in (site.publications.current, site.publications.readable, site.publications.check):
        with pytest.raises(DamageError, match=f"{link} {said}"):
            look()

    with site.warehouse.locked("test"):
        site.publications._show(1)

    assert site.publications.current() == 1
    assert site.marts() == loaded.marts()
    # Whatever it was is kept; a link holds nothing.
    assert len(list(site.warehouse.folder.glob("marts.duckdb.aside-*"))) == (what in NO_LINKS)


def test_every_command_says_what_stands_in_the_links_place(site: Site, tmp_path: Path) -> None:
    put(site.publications.link, "a file", site.warehouse.folder)
    before = site.publications.link.read_bytes()
    for command in (
        ("load",),
        ("status",),
        ("look",),
        ("resume",),
        ("rollback",),
        ("export", "--out", str(tmp_path / "out")),
    ):
        one_line(site.run(*command), f"{site.publications.link} is no link", "`load --full-refresh`")
    assert site.publications.link.read_bytes() == before
    told = last_update(site.warehouse.folder)
    assert told and told.outcome == "failed"


def test_a_link_may_say_the_whole_path(site: Site, loaded: Site) -> None:
    site.publications.link.unlink()
    site.publications.link.symlink_to(site.publications.file(1))
    assert site.publications.readable() == 1


def test_a_link_that_leads_nowhere_is_named_and_the_next_number_is_a_new_one(site: Site, loaded: Site) -> None:
    with site.warehouse.locked("test"):
        site.publications.publish(RULES)
    shutil.rmtree(site.publications.file(2).parent)
    assert (site.publications.numbers(), site.publications.current()) == ([1], 2)
    for command in (("look",), ("status",)):
        one_line(site.run(*command), "leads to generation 2, which isn't there: `resume` gives readers the newest one")
    with site.warehouse.locked("test"):
        # Somebody may still have the second open: no other is ever called so.
        assert site.publications.publish(RULES).number == 3
    assert site.marts() == loaded.marts()


def test_after_a_link_that_leads_nowhere_resume_gives_what_is_there(site: Site, loaded: Site) -> None:
    with site.warehouse.locked("test"):
        site.publications.publish(RULES)
        shutil.rmtree(site.publications.file(2).parent)
        assert site.publications.resume() == 1
    assert site.marts() == loaded.marts()


def test_the_report_says_it_as_it_starts(site: Site) -> None:
    damage(newest(site), "text")
    code = "import os, sys; os.execve = lambda *_: sys.exit(0); sys.argv = ['report']; import report.__main__"
    outcome = finished(python(code, WAREHOUSE_DIR=str(site.warehouse.folder)))
    assert outcome.progress.startswith("Generation 1 is damaged (") and outcome.progress.count("\n") == 1


# The write-ahead log

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from pipeline.warehouse import Warehouse
warehouse = Warehouse(Path(sys.argv[1]))
with warehouse.locked("test"), warehouse.connected() as connection:
    connection.execute("insert into raw.loads (load_id, message) select range, 'of the log' || range from range(1000, 3000)")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["whole", "cut", "random bytes", "text", "emptied"])
def test_a_write_ahead_log_that_is_damaged(site: Site, loaded: Site, how: str) -> None:
    writer = python(KILLED_WHILE_WRITING, str(site.warehouse.folder))
    assert writer.wait(60) == -9
    log = site.warehouse.folder / "warehouse.duckdb.wal"
    content = log.read_bytes()
    middle = len(content) // 2
    log.write_bytes(
        {
            "whole": content,
            "cut": content[:middle],
            "random bytes": content[:middle] + random.Random(1).randbytes(64) + content[middle + 64 :],
            "text": b"not a log at all\n" * 99,
            "emptied": b"",
        }[how]
    )
    with site.warehouse.locked("test"):
        try:
            with site.warehouse.connected() as connection:
                rows = connection.execute("select count(*) from raw.loads where load_id >= 1000").fetchall()
        except DamageError as error:
            assert how in ("random bytes", "text", "cut"), error
            assert "`load --full-refresh`" in str(error) and "\n" not in str(error)
            repair(site.warehouse)
            assert list(site.warehouse.folder.glob("warehouse.duckdb.wal.aside-*"))
        else:
            assert rows == [(2000 if how == "whole" else 0,)], "all of what was committed, or nothing"
        with site.warehouse.connected() as connection:
            connection.execute("delete from raw.loads where load_id >= 1000")
    assert site.raw_rows() == loaded.raw_rows()


# What a full refresh repairs, and what it doesn't do in silence


def test_a_full_refresh_repairs_everything_at_once_from_what_lies_in_landing(site: Site, loaded: Site) -> None:
    with site.warehouse.locked("test"):
        site.publications.publish(RULES)
    damage(site.warehouse.file, "some random bytes")
    damage(newest(site), "cut in half")
    put(site.publications.link, "a file", site.warehouse.folder)

    outcome = site.load("--full-refresh")

    assert site.marts() == loaded.marts()
    assert site.raw_rows() == loaded.raw_rows()
    assert (site.publications.numbers(), site.publications.current()) == ([1, 2, 3], 3)
    assert str(site.warehouse.file) in outcome.progress
    told = last_update(site.warehouse.folder)
    assert told and (told.outcome, told.generation) == ("published", 3)
    assert site.run("load").exit_code == 0
    assert site.run("rollback").exit_code == 0
    assert site.publications.current() == 1, "the damaged one is passed over"


def test_days_that_nothing_holds_any_more_are_named_and_not_published_without(site: Site, loaded: Site) -> None:
    damage(site.warehouse.file, "text")
    shutil.rmtree(site.landing / "touches" / "2026-03-02")
    one_line(
        site.run("load", "--full-refresh"),
        "What is published holds days that are not loaded any more: touches/2026-03-02.",
        "Deliver these days again and run `load`",
    )
    assert site.publications.numbers() == [1]
    assert site.marts() == loaded.marts()
    told = last_update(site.warehouse.folder)
    assert told and told.outcome == "failed"


def test_nobody_elses_private_file_is_put_aside(site: Site) -> None:
    if os.geteuid() == 0:
        site.warehouse.folder.chmod(0o777)
        site.warehouse.file.chmod(0o600)
        code = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
os.chdir({str(REPOSITORY)!r})
import pipeline.warehouse as warehouse_
from pipeline.settings import SettingsError
warehouse = warehouse_.Warehouse(Path({str(site.warehouse.folder)!r}))
os.setuid(65534)
try:
    with warehouse._opened(read_only=False, config={{}}):
        pass
except SettingsError as error:
    print(error)
"""
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
        if "Permission denied" in run.stdout:
            assert "run this as the user who owns it" in run.stdout
        else:
            pytest.skip(f"another user can't come here: {run.stderr[-200:]}")


@pytest.mark.parametrize(
    "said",
    ["Conversion Error: 'x'", "Out of Memory Error", "IO Error: Could not set lock on file", "No space left on device"],
)
def test_other_trouble_is_no_damage(said: str) -> None:
    assert not is_damage(said)
