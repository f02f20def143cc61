"""sources.yml: what it may say, and what is said where it can't be used."""

import os
import re
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
import yaml
from exports_desk import DAY, DIRECT, VK, Desk
from pydantic import BaseModel

from cli.load import _leave_out_unusable_sources
from orchestration.assets import source_key
from pipeline.settings import PROJECT_DIR, SettingsError
from sources.configuration import read_sources
from sources.delivering import delivery_file
from sources.kinds import KINDS
from sources.source import Source, SourceError, environment_value

EXAMPLE = PROJECT_DIR / "sources.example.yml"
SECRET = "sk-4f9c1d7e2b"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reads sources out of a text."""
    file = tmp_path / "my sources.yml"
    monkeypatch.setenv("SOURCES_FILE", str(file))

    def sources(content: str | bytes) -> dict[str, Source]:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_sources()

    return sources


def failure(read: Any, content: str | bytes) -> str:
    with pytest.raises(SettingsError) as caught:
        read(content)
    message = str(caught.value)
    assert "my sources.yml" in message and SECRET not in message, message
    return message


# The example


def test_the_example_can_be_used_as_it_is(read: Any) -> None:
    sources = read(EXAMPLE.read_text("utf-8"))

    assert {source.kind for source in sources.values()} == set(KINDS)
    assert {source.delivered_by for source in sources.values()} >= {"mango:12345", "mango:12346", "files:vk_costs"}


def test_every_setting_of_the_example_exists(read: Any) -> None:
    """Those that are shown as comments, too: uncommented, each source is still one."""
    content = re.sub(r"^  # (?=[a-z_]+: )", "  ", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    sources = read(content)

    settings = yaml.safe_load(content)
    assert "deliver_despite_difference" in settings["mango_moscow"] and "poll_seconds" in settings["metrica"]
    assert str(sources["mango_moscow"].time_zone) == "UTC"


def test_every_setting_of_every_kind_is_in_the_example() -> None:
    content = re.sub(r"^  # (?=[a-z_]+: )", "  ", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)
    shown: dict[str, set[str]] = {}
    for settings in yaml.safe_load(content).values():
        shown.setdefault(settings["kind"], set()).update(settings)
    common = shown["mango"] & set(Source.model_fields)
    by_http = {"url", "timeout_seconds", "attempts", "wait_seconds"}
    assert common == set(Source.model_fields) - {"name"} and by_http <= shown["mango"]
    for kind, source in KINDS.items():
        names = {field.alias or name for name, field in source.model_fields.items()} - {"name"}
        assert names - shown[kind] - common - by_http == set(), kind


def test_defaults_that_the_example_shows_are_the_defaults(read: Any) -> None:
    """Where a comment shows a value, that a default is."""
    shown_elsewhere = ("account", "site", "time_zone", "more_fields", "url")
    sources = read(EXAMPLE.read_text("utf-8"))
    name, seen = "", 0
    for line in EXAMPLE.read_text("utf-8").splitlines():
        if heading := re.match(r"([a-z_]+):$", line):
            name = heading[1]
        if (shown := re.match(r"  # ([a-z_]+): (\S+)", line)) and shown[1] not in shown_elsewhere:
            default = type(sources[name]).model_fields[shown[1]].default
            assert str(default).lower().removesuffix(".0") == shown[2], (name, shown[1])
            seen += 1
    assert seen >= 12
    assert type(sources["mango_moscow"]).model_fields["url"].default in EXAMPLE.read_text("utf-8")


# Mistakes

MANGO = "  kind: mango\n  widget_id: 12345\n  token_variable: MANGO_TOKEN\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: {kind: amocrm}", "a: `kind` is one of mango, calltouch, metrica, files, postgres"),
        ("a: {kind: [mango]}", "a: `kind` is one of"),
        ("a: {widget_id: 1}", "a: `kind` is one of"),
        ("a: mango", "a: its settings go below it"),
        ("a:\n", "a: its settings go below it"),
        ("- a\n", "must name sources, each with its settings below; sources.example.yml shows how"),
        (f"a:\n{MANGO}  widget: 1\n", "a: widget: there is no such setting"),
        (f"a:\n{MANGO}  name: b\n", "a: name: there is no such setting"),
        ("a: {kind: mango, widget_id: 1}", "a: token_variable: is missing"),
        ("a: {kind: mango, token_variable: T}", "a: widget_id: is missing"),
        (f"a:\n{MANGO}  reload_days: many\n", "a: reload_days: must be a whole number"),
        (f"a:\n{MANGO}  reload_days: 0\n", "a: reload_days: must be from 1 to 366"),
        (f"a:\n{MANGO}  deliver_despite_difference: perhaps\n", "a: deliver_despite_difference: must be true or false"),
        (f"a:\n{MANGO}  timeout_seconds: soon\n", "a: timeout_seconds: must be a number"),
        (f"a:\n{MANGO}  authorization: cookie\n", "a: authorization: Input should be 'header' or 'parameter'"),
        (f"a:\n{MANGO}  account: 'a b'\n", "a: account: must not be empty, nor hold spaces, / or :"),
        (f"a:\n{MANGO}  account: [a]\n", "a: account: must be one text"),
        (f"a:\n{MANGO}  site: ''\n", "a: site: must not be empty"),
        (f"a:\n{MANGO}  time_zone: Moscow\n", "a: time_zone: no time zone is called so; write one like Europe/Moscow"),
        (f"a:\n{MANGO}  url: http://mango.example\n", "a: url: write an address that begins with https://"),
        (f"Mango 1:\n{MANGO}", "source number 1: a source's name has small Latin letters, digits and _"),
        (f"a-b:\n{MANGO}", "source number 1: a source's name has small Latin letters"),
        (f"a:\n{MANGO}b: {{kind: amocrm}}\na:\n{MANGO}", "is not YAML: line 6, column 1: a name is there twice"),
        (f"a:\n{MANGO}  site: x\n  site: y\n", "line 6, column 3: a name is there twice"),
        ("a:\n\tkind: mango", "is not YAML: line 2, column 1"),
        ("a:\n  kind: mango\n b: c", "is not YAML: line 3"),
        (b"a:\n  kind: \xf4\xee\xf0\xec\xe0", "is not YAML: line 2 is not UTF-8"),
        ("a: {kind: files, path: '*.csv', mapping: nowhere.yml}", "a: `mapping`: there is no file"),
        ("a: {kind: files, path: '', mapping: vk_ads_costs.yml}", "a: path: must not be empty"),
        ("a: {kind: files, path: x, mapping: pyproject.toml}", "pyproject.toml is not YAML"),
        ("a: {kind: metrica, counter_id: abc, token_variable: T}", "a: counter_id: "),
        (
            "a: {kind: postgres, connection_variable: T, tables: {calls: {query: '{day}'}}}",
            "a: tables: there is no table calls",
        ),
        ("a: {kind: postgres, connection_variable: T, tables: {touches: {query: select 1}}}", "must ask for one day"),
    ],
)
def test_every_mistake_is_reported(read: Any, content: str | bytes, said: str) -> None:
    assert said in failure(read, content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("  kind: mango\n    widget_id: 1\n", "line 3, column 14: the indentation or a colon is probably wrong here or in the line above"),
        ("  kind: mango\n widget_id: 1\n", "line 3, column 2: the indentation or a colon is probably wrong"),
        ("  kind mango\n  widget_id: 1\n", "line 3, column 12: the indentation or a colon is probably wrong"),
        ("  kind: mango\n  widget_id:1\n", "line 3, column 3: a colon with a space after it is missing"),
        ("  kind: mango\n\twidget_id: 1\n", "line 3, column 1: the line is indented with a tab: use spaces"),
        ("  kind: mango\n  widget_id: '1\n\n  site: x\n", "line 3, column 14: the quote opened here is never closed"),
        ("  kind: mango\n  widget_id: [1\n\nb: x\n", "line 3, column 14: the bracket opened here is never closed"),
        ("  kind: files\n  widget_id: *.csv\n", "line 3, column 15: a value that begins with *, &, !, %, @ or ` needs quotes"),
        ("  kind: files\n  widget_id: {day}.csv\n", "line 3, column 19: text follows a closing quote or bracket"),
        ("  kind: files\n  widget_id: \"C:\\data\"\n", "line 3, column 14: a backslash in double quotes begins an escape"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_yaml_is_shown_without_its_value(read: Any, content: str, said: str) -> None:
    message = failure(read, f"a:\n{content}")

    assert f"my sources.yml is not YAML: {said}" in message
    shown = message.partition(" (`")[2].removesuffix("`).")
    indentation = content.splitlines()[1].partition("widget_id:")[0]
    assert shown in (f"{indentation}widget_id: …", f"{indentation}widget_id:…")


def test_all_mistakes_are_reported_together(read: Any) -> None:
    message = failure(
        read,
        f"a: {{kind: amocrm}}\ngood:\n{MANGO}b: {{kind: mango, widgetid: 1, reload_days: x}}\nc: {{kind: files, path: p, mapping: m}}\n",
    )

    first, *lines = message.splitlines()
    assert first.endswith("my sources.yml can't be used:")
    assert [line.split(":")[0] for line in lines] == ["  a", *["  b"] * 4, "  c"]
    assert lines[1:5] == [
        "  b: reload_days: must be a whole number",
        "  b: token_variable: is missing",
        "  b: widget_id: is missing",
        "  b: widgetid: there is no such setting",
    ]
    assert "mango_calls_export.yml" in lines[5]


def test_a_load_without_usable_sources_warns_of_each_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "sources.yml"
    file.write_text("a: {kind: amocrm}\nb: {kind: mango, widget_id: 1}\n", "utf-8")
    monkeypatch.setenv("SOURCES_FILE", str(file))
    monkeypatch.setattr("cli.load.log.propagate", True)
    _leave_out_unusable_sources()

    assert os.environ["SOURCES_FILE"] == os.devnull
    assert caplog.messages == [
        f"{file} can't be used:",
        "a: `kind` is one of mango, calltouch, metrica, files, postgres",
        "b: token_variable: is missing",
        "Deliveries in the landing folder are loaded all the same.",
    ]


@pytest.mark.parametrize(
    "content",
    [
        f"a: {{kind: mango, widget_id: 1, token_variable: {SECRET}}}",
        f"a: {{kind: mango, widget_id: 1, token_variable: [{SECRET}]}}",
        f"a: {{kind: {SECRET}}}",
        f"a: {SECRET}",
        f"a:\n{MANGO}  reload_days: {SECRET}\n",
        f"a:\n{MANGO}  time_zone: {SECRET}\n",
        f"a:\n{MANGO}  authorization: {SECRET}\n",
        f"a:\n{MANGO}  url: http://user:{SECRET}@mango.example\n",
        f"a:\n{MANGO}  account: a/{SECRET}\n",
        f"a: {{kind: postgres, connection_variable: 'postgresql://u:{SECRET}@h/b', tables: {{}}}}",
        f"a: {{kind: postgres, connection_variable: T, tables: {{touches: {{query: {SECRET}}}}}}}",
        f"a:\n  kind: mango\n  token_variable: *{SECRET}\n",
        f"a:\n  kind: mango\n  token_variable: !{SECRET} x\n",
        f"a:\n  kind: mango\n  token_variable: {SECRET}: x\n",
        f"a:\n  kind: mango\n token_variable: {SECRET}\n",
        f"a:\n  kind: mango\n  token_variable: '{SECRET}\n",
        f"a:\n  kind: mango\n  {SECRET}\n",
    ],
)
def test_a_credential_in_the_wrong_place_is_never_shown(read: Any, content: str) -> None:
    failure(read, content)


def test_a_credential_that_looks_like_a_name_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AKIA4F9C1D7E2B", raising=False)
    monkeypatch.setenv("MANGO_TOKEN", "")
    with pytest.raises(SourceError) as looks_like_one:
        environment_value("AKIA4F9C1D7E2B", "token_variable")
    with pytest.raises(SourceError) as is_one:
        environment_value("MANGO_TOKEN", "token_variable")

    assert str(looks_like_one.value).startswith("the variable that `token_variable` names isn't set in the environment")
    assert str(is_one.value).startswith("MANGO_TOKEN isn't set in the environment")


# Where it is


def test_a_file_without_sources_names_none(read: Any) -> None:
    assert read("") == {} == read("# nothing yet\n")


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCES_FILE", str(tmp_path / "gone.yml"))
    with pytest.raises(SettingsError, match=r"SOURCES_FILE: there is no file .*gone\.yml"):
        read_sources()
    monkeypatch.setenv("SOURCES_FILE", str(tmp_path))
    with pytest.raises(SettingsError, match="can't be read \\(Is a directory\\)"):
        read_sources()


def test_without_the_file_there_are_no_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOURCES_FILE", "")
    monkeypatch.setattr("pipeline.settings.PROJECT_DIR", tmp_path)

    assert read_sources() == {}


def test_numbers_and_words_need_no_quotes(read: Any) -> None:
    source = read(
        "a: {kind: mango, widget_id: 007, token_variable: T, account: yes, site: 1.50, time_zone: , reload_days: 3}"
    )["a"]

    assert (source.widget_id, source.account, source.site, source.time_zone, source.reload_days) == (
        *("007", "yes", "1.50"),
        None,
        3,
    )


# Several of a kind


def test_accounts_and_sites_side_by_side_never_meet(read: Any) -> None:
    sources = read(
        """
        mango_msk: {kind: mango, widget_id: 1, token_variable: A}
        mango_spb: {kind: mango, widget_id: 2, token_variable: A}
        metrica_msk: {kind: metrica, counter_id: 1, token_variable: B}
        metrica_spb: {kind: metrica, counter_id: 2, token_variable: B}
        touch_msk: {kind: calltouch, site_id: 1, token_variable: C}
        vk: {kind: files, path: "vk/*.csv", mapping: vk_ads_costs.yml}
        vk2: {kind: files, path: "vk/*.csv", mapping: vk_ads_costs.yml}
        db: {kind: postgres, connection_variable: D, tables: {touches: {query: "{day}"}}}
        db_2: {kind: postgres, connection_variable: D, tables: {touches: {query: "{day}"}}}
        """
    )
    files = [
        delivery_file(Path("landing"), source.name, dataset, table, date(2025, 11, 20))
        for source in sources.values()
        for dataset, table in source.delivered_datasets.items()
    ]

    assert len({source.delivered_by for source in sources.values()}) == len(sources)
    assert len({source_key(name).to_python_identifier() for name in sources}) == len(sources)
    assert len(files) == len(set(files)) == 13


def test_two_exports_of_a_kind_fill_one_day(tmp_path: Path) -> None:
    """What one delivers leaves the other's as it is, and is told from it."""
    desk = Desk(tmp_path)
    desk.write("direct.csv", DIRECT)
    desk.write("vk.csv", VK)
    direct = desk.source("yandex_direct_costs.yml", "direct.csv", name="direct")
    vk = desk.source("vk_ads_costs.yml", "vk.csv", name="vk", site="okna")
    desk.fetch(direct)
    before = desk.version(direct)
    desk.fetch(vk)

    assert desk.version(direct) == before
    assert {row.get("widget_id") for row in desk.rows(direct)} == {None}
    assert {row["widget_id"] for row in desk.rows(vk)} == {"okna"}
    assert desk.file(direct).parent == desk.file(vk).parent == desk.landing / "costs" / str(DAY)


def test_no_setting_takes_undeclared_fields() -> None:
    """Every setting is of a type that says what it may be, down to settings of settings."""
    seen = 0
    waiting: list[Any] = list(KINDS.values())
    while waiting:
        kind = waiting.pop()
        if get_origin(kind) in (Union, UnionType, dict, tuple):
            waiting += get_args(kind)
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            assert kind.model_config["extra"] == "forbid" and kind.model_config["hide_input_in_errors"], kind
            waiting += [field.annotation for field in kind.model_fields.values()]
            seen += 1
    assert seen == len(KINDS) + 1
