"""Seeds as people save them: what is wrong with one is said before anything is built, by file, line and column."""

import csv
import io
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from processes import ENVIRONMENT, REPOSITORY, Finished, copied_project

from pipeline import seeds
from pipeline.last_update import last_update
from pipeline.seeds import check_seeds, contracts, read_seed
from pipeline.settings import SettingsError

NAMES = sorted(contracts())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REPOSITORY / "seeds", tmp_path / "seeds"))


def faults(folder: Path) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        check_seeds(folder)
    return str(raised.value).splitlines()


def table(file: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.read_text("utf-8"), newline="")))


def written(rows: list[list[str]], delimiter: str = ",", line_end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    return text.getvalue()


def test_every_seed_that_is_there_is_checked_and_good() -> None:
    check_seeds()
    assert [f"{name}.csv" for name in NAMES] == sorted(path.name for path in (REPOSITORY / "seeds").glob("*.csv"))


Breakage = Callable[[list[list[str]]], bytes]

# How a whole file is saved wrongly: what it becomes, and what is said of it.
WRONG_FILES: dict[str, tuple[Breakage, str]] = {
    "windows-1251": (lambda rows: written([*rows, ["дом", *rows[1][1:]]]).encode("cp1251", "replace"), ": it isn't in UTF-8"),
    "utf-16": (lambda rows: written(rows).encode("utf-16"), " is in UTF-16: save it as CSV UTF-8"),
    "utf-16 the other way round": (lambda rows: b"\xfe\xff" + written(rows).encode("utf-16-be"), " is in UTF-16"),
    "a NUL byte": (lambda rows: written([rows[0], ["x\0", *rows[1][1:]]]).encode(), ", line 2: it holds a NUL byte"),
    "two kinds of line ends": (lambda rows: (written(rows[:2]) + written(rows[2:], line_end="\r\n")).encode(), " has line ends of several kinds"),
    "a column too many": (lambda rows: written([*rows[:2], [*rows[2], "x"]]).encode(), ", line 3: it has "),
    "a missing column": (lambda rows: written([[*row[:-1], *(["x"] if len(row) == 1 else [])] for row in rows]).encode(), " is missing"),
    "a column without a name": (lambda rows: written([[*row, ""] for row in rows]).encode(), "one without a name is no column of it"),
    "a column twice": (lambda rows: written([[*row, row[0]] for row in rows]).encode(), "stands there twice"),
    "a header in capitals": (lambda rows: written([[cell.upper() for cell in rows[0]], *rows[1:]]).encode(), ", line 1: "),
    "no header": (lambda rows: written(rows[1:]).encode(), ", line 1: "),
    "a quote that isn't closed": (lambda rows: (written(rows[:1]) + '"x').encode(), ", line 2: a double quote is out of place"),
    "text after a quote": (lambda rows: (written(rows[:1]) + '"x"y').encode(), ", line 2: a double quote is out of place"),
    "nothing": (lambda rows: b"", ", line 1: "),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", WRONG_FILES)
def test_a_file_saved_wrongly_is_named_in_one_line(folder: Path, name: str, wrong: str) -> None:
    broken, said = WRONG_FILES[wrong]
    file = folder / f"{name}.csv"
    file.write_bytes(broken(table(file)))

    (fault,) = faults(folder)

    assert fault.startswith(f"seeds/{name}.csv") and said in fault


@pytest.mark.parametrize(("delimiter", "said"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
@pytest.mark.parametrize("name", [name for name in NAMES if len(contracts()[name].types) > 1])
def test_another_delimiter_is_named(folder: Path, name: str, delimiter: str, said: str) -> None:
    file = folder / f"{name}.csv"
    file.write_text(written(table(file), delimiter), "utf-8")

    assert faults(folder) == [f"seeds/{name}.csv, line 1: the columns are parted by {said}: {seeds.SAVE_AGAIN}"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_no_file_is_named(folder: Path, name: str) -> None:
    file = folder / f"{name}.csv"
    file.unlink()
    assert faults(folder) == [
        f"seeds/{name}.csv isn't there: it needs at least the line {','.join(contracts()[name].types)}"
    ]
    file.mkdir()
    assert faults(folder) == [f"seeds/{name}.csv can't be read: Is a directory"]


@pytest.mark.parametrize("name", NAMES)
def test_what_spreadsheets_save_well_is_read(folder: Path, name: str) -> None:
    file = folder / f"{name}.csv"
    rows = table(file)
    columns = tuple(contracts()[name].types)
    expected = read_seed(file, columns).rows
    for content in (
        b"\xef\xbb\xbf" + written(rows).encode(),
        written(rows, line_end="\r\n").encode(),
        written(rows, line_end="\r").encode(),
    ):
        file.write_bytes(content)
        check_seeds(folder)
        assert read_seed(file, columns).rows == expected
    # In another order, too, as rows are known by their columns' names.
    file.write_text(written([row[::-1] for row in rows]), "utf-8")
    check_seeds(folder)


@pytest.mark.parametrize(
    "hosts",
    [
        "",
        "okna.example",
        "WWW.Okna.Example",
        "окна.рф",
        "xn--80atjc.xn--p1ai",
        "a.example  b.example",
        "10.0.0.1",
        "a_b.example",
    ],
)
def test_bare_hosts_of_sites_are_taken(hosts: str) -> None:
    assert seeds.bare_site_hosts({"site_host": hosts}) is None


@pytest.mark.parametrize(
    ("name", "row", "fault"),
    [
        *(
            ("widgets", f"new,A,b,{host}", f'site_host = "{wrong or host}": {seeds.BARE_HOST}')
            for host, wrong in (
                ("okna1.example/", ""),
                ("https://okna2.example/", ""),
                ("okna5.example:443", ""),
                ("//okna6.example", ""),
                ("okna8.example/shop", ""),
                ("user@okna8.example", ""),
                ("okna8.example?a", ""),
                ("okna8 okna9.example; m.okna9.ru", "okna9.example;"),
                ("*.okna.example", ""),
                ("okna..example", ""),
            )
        ),
        ("widgets", ",A,b,", "widget_id is empty: fill it in, or remove the line"),
        ("widgets", "new,A,,", "brand_id is empty: fill it in, or remove the line"),
        ("widgets", "okna-msk,A,b,", 'widget_id = "okna-msk" stands in a line before: remove one of them'),
        ("widgets", " new,A,b,", 'widget_id = " new": it has a blank at its beginning or end; take it away'),
        ("widgets", "new,A,b\N{NO-BREAK SPACE},", "it has a blank at its beginning or end; take it away"),
        ("channel_rules", "first,exact,a,b,c,true", 'rule_order = "first": write a whole number'),
        ("channel_rules", "1.5,exact,a,b,c,true", 'rule_order = "1.5": write a whole number'),
        ("channel_rules", "99999999999,exact,a,b,c,true", 'rule_order = "99999999999": write a whole number'),
        ("channel_rules", "10,exact,a,b,c,true", 'rule_order = "10" stands in a line before: remove one of them'),
        ("channel_rules", "9999,like,a,b,c,true", 'match = "like": write exact or words'),
        ("channel_rules", "9999,exact,a,b,c,maybe", 'is_enabled = "maybe": write true or false'),
        ("channel_rules", "9999,exact,a,b,,true", "channel is empty: fill it in, or remove the line"),
        ("referrers", "Example.com,search,x", "it breaks the rule `referrer hosts are in lower case`: host = lower(host)"),
        ("referrers", "example.com,search,", "name is empty: fill it in, or remove the line"),
        ("ignored_identifiers", "telephone,1,why", 'identifier_kind = "telephone": write visitor_id or yandex_client_id'),
        ("ignored_identifiers", "phone,+70000000000,why", "coalesce(identifier_kind, ''), identifier stand in a line before"),
        ("placeholders", "", "placeholder is empty: fill it in, or remove the line"),
        ("placeholders", "-", 'placeholder = "-" stands in a line before: remove one of them'),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_by_line_and_column(folder: Path, name: str, row: str, fault: str) -> None:
    file = folder / f"{name}.csv"
    text = file.read_text("utf-8")
    file.write_text(f"{text}{row}\n", "utf-8")

    (told,) = faults(folder)

    assert told.startswith(f"seeds/{name}.csv, line {text.count(chr(10)) + 1}: ")
    assert fault in told


def test_good_rows_at_the_boundaries_are_good(folder: Path) -> None:
    with open(folder / "referrers.csv", "a", encoding="utf-8") as file:
        file.write("nowhere.example,ignored,\n")
    with open(folder / "channel_rules.csv", "a", encoding="utf-8") as file:
        file.write("-2147483648,exact,,,\"A, \"\"b\"\"\",TRUE\n2147483647,words,a,b,c,0\n")  # fmt: skip
    with open(folder / "ignored_identifiers.csv", "a", encoding="utf-8") as file:
        file.write(",+70000000000,another kind\n")
    check_seeds(folder)


def test_faults_are_reported_in_order_and_not_without_end(folder: Path) -> None:
    (folder / "channel_rules.csv").write_text("a,b\n", "utf-8")
    with open(folder / "placeholders.csv", "a", encoding="utf-8") as file:
        file.write("-\n" * 20)
    told = faults(folder)
    assert told[0].startswith("seeds/channel_rules.csv, line 1: ")
    lines = [int(fault.split("line ")[1].split(":")[0]) for fault in told[1:-1]]
    assert lines == sorted(lines) and len(told) == seeds.SHOWN_FAULTS + 1
    assert told[-1] == "… and 11 more"


def test_a_rule_of_a_seed_is_kept_by_every_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(seeds.RULES, "widgets", (lambda row: "no shops" if row["widget_id"] == "shop" else None,))
    check_seeds(folder)
    with open(folder / "widgets.csv", "a", encoding="utf-8") as file:
        file.write("shop,A,b,\n")
    (told,) = faults(folder)
    assert told.endswith(": no shops")


PIECES = ("a", "ж", "'", '""', ",", ";", "\t", "|", "\\", "#", "null", "NULL", "1", "\n", "\N{GRINNING FACE}", "x y")


def test_what_passes_is_what_is_built(tmp_path: Path) -> None:
    """Both readers agree: the check's and, with the options of the project's macro, DuckDB's."""
    macro = (REPOSITORY / "macros" / "engine" / "duckdb_builds.sql").read_text("utf-8")
    options = macro.partition("from '{{ file }}' (")[2].partition(")\n")[0]
    assert "auto_detect false" in options
    chance = random.Random(1)
    file = tmp_path / "it's a дом.csv"
    target = str(file).replace("'", "''")
    read = refused = 0
    with duckdb.connect() as connection:
        for _ in range(600):
            cells = [["".join(chance.choices(PIECES, k=chance.randrange(4))) for _ in "ab"] for _ in range(5)]
            rows = [",".join(f'"{cell}"' if chance.random() < 0.6 else cell for cell in row) for row in cells]
            file.write_text("\n".join(["a,b", *rows]) + "\n", "utf-8", newline=chance.choice(["\n", "\r\n"]))
            try:
                seed = read_seed(file, ("a", "b"))
            except seeds.UnreadableSeedError:
                refused += 1
                continue
            if any(cell and cell != cell.strip() for row in seed.rows for cell in row):
                refused += 1  # by every seed's contract
                continue
            connection.execute("create or replace table seed (a varchar, b varchar)")
            connection.execute(f"copy seed from '{target}' ({options})")
            assert connection.execute("from seed").fetchall() == list(seed.rows)
            read += 1
    assert read > 50 < refused


def test_a_load_says_it_in_one_line_and_does_nothing(tmp_path: Path) -> None:
    project = copied_project(tmp_path / "project")
    widgets = project / "seeds" / "widgets.csv"
    widgets.write_bytes(widgets.read_text("utf-8").encode("cp1251"))
    (tmp_path / "landing").mkdir()
    environment = ENVIRONMENT | {"LANDING_DIR": str(tmp_path / "landing"), "WAREHOUSE_DIR": str(tmp_path / "warehouse")}

    run = subprocess.run(
        [sys.executable, "-m", "cli", "load"], cwd=project, env=environment, capture_output=True, text=True
    )

    said = Finished(run.returncode, run.stdout, run.stderr)
    fault = f"seeds/widgets.csv, line 2: it isn't in UTF-8 (perhaps in Windows-1251): {seeds.SAVE_AGAIN}"
    assert (said.exit_code, said.failure.strip()) == (1, fault)
    assert sorted(path.name for path in (tmp_path / "warehouse").iterdir()) == ["last_update.json", "warehouse.lock"]
    told = last_update(tmp_path / "warehouse")
    assert told and (told.outcome, told.message) == ("failed", fault)
