"""The report in a real browser, on the golden data: everything that rules R17 to R22 ask for, in both languages; and what may not happen."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import golden_marts
import httpx
import openpyxl
import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import ReportServer, Visitor, a_browser, a_report
from phones_everywhere import LONG, traces, with_phones_everywhere
from playwright.sync_api import Browser, Locator, expect
from processes import Site, golden_site

from report.masking import token_of
from report.published import Published

MOSCOW = ZoneInfo("Europe/Moscow")
LANGUAGES = ("ru", "en")
# What the pages say, written down once more: a page that says something else is to be noticed.
SAID = {
    "ru": {
        "journal": "Журнал", "icon": "Касания", "time": "Когда", "type": "Тип", "client": "Клиент", "phone": "Телефон",
        "location": "Местоположение", "site": "Сайт", "chain": "Цепочка каналов", "duration": "Длительность", "group": "Группа",
        "value": "Сумма сделок", "all": "Все обращения", "multichannel": "Мультиканальные", "card": "Карточка клиента",
        "first_touch": "Первое касание", "name": "Имя", "no_phone": "нет номера", "no_touch": "касаний не было",
        "tab": "Мультиканальное обращение", "history": "Вся история клиента", "more": "Дополнительно", "nothing": "нет данных",
        "call": "звонок", "form": "заявка с сайта", "callback": "заказ обратного звонка", "email": "письмо", "chat": "чат",
        "click": "клик", "visit": "визит", "true": "да", "false": "нет", "interaction": "История взаимодействия",
        "utm_source": "Источник (utm_source)", "utm_medium": "Канал (utm_medium)", "utm_campaign": "Кампания (utm_campaign)",
        "utm_term": "Ключевое слово (utm_term)", "landing_page": "Страница входа", "device_type": "Устройство",
        "visited_pages": "Просмотренные страницы", "time_on_site": "Время на сайте", "utm_content": "Содержание (utm_content)",
        "visit_duration": "Длительность визита", "page_hash": "Хэш страницы", "is_unique": "Уникальное",
        "final_group": "Конечная группа", "call_page": "Страница звонка", "contact_phone": "Номер", "touches": "Касаний",
        "back": "К журналу", "no_touches": "до него не было ни одного касания", "one_touch": "до него было только одно касание",
        "one_channel": "все касания до него пришли из одного канала", "stale": "Данные устарели: они по 03.03.2026",
        "failed": "не удалось", "no_location": "местоположение неизвестно",
    },
    "en": {
        "journal": "Journal", "icon": "Touches", "time": "When", "type": "Type", "client": "Client", "phone": "Phone",
        "location": "Location", "site": "Site", "chain": "Chain of channels", "duration": "Duration", "group": "Group",
        "value": "Value", "all": "All contacts", "multichannel": "Multichannel", "card": "Client card",
        "first_touch": "First touch", "name": "Name", "no_phone": "no number", "no_touch": "no touches",
        "tab": "Multichannel contact", "history": "The client's whole history", "more": "More", "nothing": "no data",
        "call": "call", "form": "site form", "callback": "callback order", "email": "email", "chat": "chat",
        "click": "click", "visit": "visit", "true": "yes", "false": "no", "interaction": "Interaction history",
        "utm_source": "Source (utm_source)", "utm_medium": "Medium (utm_medium)", "utm_campaign": "Campaign (utm_campaign)",
        "utm_term": "Term (utm_term)", "landing_page": "Landing page", "device_type": "Device", "visited_pages": "Visited pages",
        "time_on_site": "Time on site", "utm_content": "Content (utm_content)", "visit_duration": "Visit duration",
        "page_hash": "Page hash", "is_unique": "Unique", "final_group": "Final group", "call_page": "Call page",
        "contact_phone": "Number", "touches": "Touches", "back": "To the journal", "no_touches": "there was no touch before it",
        "one_touch": "there was only one touch before it", "one_channel": "all touches before it came from one channel",
        "stale": "The data is old: it reaches Mar 3, 2026", "failed": "failed", "no_location": "location unknown",
    },
}  # fmt: skip
SOURCES = {
    "ru": {1: "источник/канал", 2: "источника/канала", 5: "источников/каналов"},
    "en": {1: "source/channel", 2: "sources/channels", 5: "sources/channels"},
}


def local_time(language: str, instant: str | datetime) -> str:
    """As each language writes a local time."""
    moment = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    moment = moment.astimezone(MOSCOW)
    if language == "ru":
        return f"{moment:%d.%m.%Y, %H:%M}"
    return f"{moment:%b} {moment.day}, {moment.year}, {moment.hour % 12 or 12}:{moment:%M} {moment:%p}"


def plain(text: str) -> str:
    """With ordinary spaces: languages write numbers and hours with others."""
    return re.sub(r"[\u00a0\u202f]", " ", text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return golden_site(tmp_path_factory)


@pytest.fixture(scope="module")
def server(browser: Browser, golden: Site) -> Iterator[ReportServer]:
    with a_report(golden.warehouse.folder) as server:
        yield server


@pytest.fixture
def visitor(browser: Browser, server: ReportServer) -> Iterator[Visitor]:
    visitor = Visitor(browser, server)
    yield visitor
    visitor.close()


def rows_of(site: Site, query: str, *parameters: Any) -> list[dict[str, Any]]:
    with duckdb.connect(str(site.publications.link), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        cursor = connection.execute(query, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_journal_lists_every_contact_with_its_icon(visitor: Visitor, golden: Site, language: str) -> None:
    """R22, and R6: every contact of the period, those with several channels with the number of their touches."""
    said = SAID[language]
    visitor.open(lang=language)
    shown = visitor.rows(said["journal"])
    expected = golden_marts.read_expected("expected")["journal"]
    assert len(shown) == len(expected)
    contacts = {row["contact_id"]: row for row in rows_of(golden, "from journal")}
    order = [row["contact_id"] for row in rows_of(golden, "from journal order by contacted_at desc, contact_id desc")]
    icons = visitor.page.get_by_role("region", name=said["journal"], exact=True).locator("td a .icon")
    kinds = icons.evaluate_all("icons => icons.map(icon => icon.classList[1])")
    by_contact = {row["contact_id"]: row for row in expected}
    for contact_id, row, kind in zip(order, shown, kinds, strict=True):
        contact, golden_row = contacts[contact_id], by_contact[contact_id]
        assert kind == golden_row["icon"]
        assert row[said["icon"]] == (golden_row["touch_count"] if golden_row["icon"] == "multichannel" else "")
        assert plain(row[said["time"]]) == local_time(language, contact["contacted_at"])
        assert row[said["type"]] == said[contact["contact_type"]]
        assert row[said["client"]] == golden_row["client_name"]
        assert row[said["phone"]] == golden_row["phone"]
        assert row[said["location"]] == golden_row["location"]
        assert row[said["site"]] == contact["widget_name"]
        assert row[said["chain"]] == golden_row["touch_chain"]
        assert row[said["group"]] == (contact["final_group"] or "")
    legend = visitor.page.locator(".legend li")
    assert [
        icon.split()[-1] for icon in legend.locator(".icon").evaluate_all("icons => icons.map(icon => icon.className)")
    ] == [*("multichannel", "single_channel", "no_touches")]

    multichannel = [row for row in expected if row["is_multichannel"] == "true"]
    visitor.click(visitor.page.get_by_role("radio", name=said["multichannel"]))
    assert len(visitor.rows(said["journal"])) == len(multichannel) > 0
    assert visitor.page.url.endswith("tab=multichannel")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_card_shows_all_that_the_rules_ask_for(visitor: Visitor, golden: Site, language: str) -> None:
    """R17 to R20, of every client with a multichannel contact: the header, the tree, and each touch with all its fields."""
    said = SAID[language]
    cards = {row["first_contact_id"]: row for row in golden_marts.read_expected("expected")["client_card"]}
    clients = rows_of(
        golden,
        "select any_value(contact_id) as contact_id, client_id from journal where is_multichannel group by client_id order by client_id",
    )
    assert len(clients) > 3
    # What a card shows does not depend on the language, and a page costs a second.
    for client in clients if language == "ru" else clients[:2]:
        visitor.open("card", contact=client["contact_id"], lang=language)
        card = cards[client["client_id"].removeprefix("client-")]
        header = visitor.facts(visitor.page.locator(".card .facts.client"))
        assert {name: plain(text) for name, text in header.items()} == {
            said["phone"]: card["phone"] or said["no_phone"],
            said["first_touch"]: local_time(language, card["first_touch_at"])
            if card["first_touch_at"]
            else said["no_touch"],
            said["name"]: card["client_name"],
            said["location"]: card["location"],
        }
        contacts = rows_of(
            golden, "from journal where client_id = ? and is_multichannel order by contact_number", client["client_id"]
        )
        branches = visitor.page.locator("details.branch")
        assert branches.evaluate_all("branches => branches.map(branch => branch.dataset.contact)") == [
            contact["contact_id"] for contact in contacts
        ]
        for number, contact in enumerate(contacts):
            _branch_shows(visitor, golden, language, number, contact)


def _branch_shows(visitor: Visitor, golden: Site, language: str, number: int, contact: dict[str, Any]) -> None:
    said = SAID[language]
    branch = visitor.page.locator("details.branch").nth(number)
    summary = branch.locator("> summary")
    title = plain(summary.inner_text())
    count = contact["channel_count"]
    form = 1 if count == 1 else 2 if count < 5 else 5
    for part in (
        str(contact["touch_count"]), said[contact["contact_type"]], local_time(language, contact["contacted_at"]),
        contact["location"], contact["phone"] or said["no_phone"], f"{count} {SOURCES[language][form]}",
    ):  # fmt: skip
        assert part in title, (part, title)
    # The list of sources and channels, for the mouse and for the keyboard.
    tip = summary.get_by_role("tooltip", include_hidden=True)
    expect(tip).to_be_hidden()
    summary.locator(".hinted").hover()
    expect(tip).to_be_visible()
    assert tip.locator("li").all_inner_texts() == contact["channels"]
    visitor.page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    summary.locator(".hinted").focus()
    expect(tip).to_be_visible()
    if branch.get_attribute("open") is None:
        summary.locator("strong").click()
    touches = rows_of(
        golden, "from interaction_history where contact_id = ? order by touch_rank", contact["contact_id"]
    )
    items = branch.locator("li[data-touch]")
    assert items.count() == len(touches) == contact["touch_count"]
    for place, touch in enumerate(touches):
        item = items.nth(place)
        line = plain(item.locator("> .touch").inner_text())
        assert said[touch["action_type"]] in line
        assert local_time(language, touch["touched_at"]) in line
        assert touch["channel"] in line
        assert (touch["location"] or said["no_location"]) in plain(item.locator("> .touch").text_content() or "")
        assert item.locator(".place svg").count() == (0 if touch["location"] else 1)
        assert visitor.facts(item.locator("> .facts.tags")) == {
            said[name]: touch[name] or said["nothing"]
            for name in ("utm_source", "utm_medium", "utm_campaign", "utm_term", "landing_page")
        }
        more = item.locator("> details")
        expect(more.locator("dl")).to_be_hidden()
        more.get_by_text(said["more"], exact=True).click()
        expect(more.locator("dl")).to_be_visible()
        facts = visitor.facts(more.locator("dl"))
        texts = {
            "device_type": touch["device_type"], "visited_pages": "\n".join(touch["visited_pages"] or []),
            "time_on_site": _clock(touch["time_on_site"]), "utm_content": touch["utm_content"],
            "visit_duration": _clock(touch["visit_duration"]), "page_hash": touch["page_hash"],
            "is_unique": None if touch["is_unique"] is None else said[str(touch["is_unique"]).lower()],
            "final_group": touch["final_group"], "call_page": touch["call_page"], "contact_phone": touch["phone"],
        }  # fmt: skip
        for name, text in texts.items():
            assert facts[said[name]] == (text or said["nothing"]), name


def _clock(seconds: int | None) -> str | None:
    return None if seconds is None else f"{seconds // 60}:{seconds % 60:02}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_clients_history_is_whole_and_multichannel_contacts_are_green(
    visitor: Visitor, golden: Site, language: str
) -> None:
    """R21, of the client with the most contacts that has a multichannel one."""
    said = SAID[language]
    client = rows_of(
        golden,
        "select client_id, max(contact_id) as contact_id, count(*) as contacts, count_if(is_multichannel) as multichannel from journal "
        "group by client_id having multichannel > 0 and contacts > 1 order by multichannel < contacts desc, contacts desc, client_id limit 1",
    )[0]
    visitor.open("card", contact=client["contact_id"], tab="history", lang=language)
    shown = visitor.rows(said["history"])
    history = rows_of(golden, "from client_history where client_id = ? order by contact_number", client["client_id"])
    colors = visitor.page.get_by_role("region", name=said["history"]).locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [row.classList.contains('green'), getComputedStyle(row.cells[0]).backgroundColor])"
    )  # fmt: skip
    assert len(shown) == len(history) == client["contacts"]
    for row, contact, (is_green, color) in zip(shown, history, colors, strict=True):
        assert plain(row[said["time"]]) == local_time(language, contact["contacted_at"])
        assert row[said["type"]] == said[contact["contact_type"]]
        assert row[said["location"]] == contact["location"]
        assert row[said["touches"]] == str(contact["touch_count"])
        assert is_green == contact["is_multichannel"] == (contact["highlight"] == "green")
        assert (color != "rgba(0, 0, 0, 0)") == is_green


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_card_says_why_a_contact_is_not_multichannel(visitor: Visitor, golden: Site, language: str) -> None:
    for reason in ("no_touches", "one_touch", "one_channel"):
        contact = rows_of(
            golden, "select min(contact_id) as contact_id from journal where not_multichannel_reason = ?", reason
        )[0]
        visitor.open("card", contact=contact["contact_id"], lang=language)
        assert SAID[language][reason] in visitor.page.locator(".why").inner_text()


def test_the_way_from_the_journal_to_a_card_its_history_and_back(visitor: Visitor, golden: Site) -> None:
    client = rows_of(
        golden,
        "select client_id, list(contact_id order by contact_number) as contacts from journal where is_multichannel "
        "group by client_id having count(*) > 1 order by client_id limit 1",
    )[0]
    first, second = client["contacts"][:2]
    said = SAID["ru"]
    visitor.open()
    visitor.click(visitor.page.locator(f"a[data-key='open-{second}']"))
    assert f"contact={second}" in visitor.page.url and "/card?" in visitor.page.url
    open_ = "details.branch[open]"
    assert visitor.page.locator(open_).get_attribute("data-contact") == second
    visitor.click(visitor.page.get_by_role("radio", name=said["history"]))
    visitor.click(visitor.page.locator(f"a[data-key='history-{first}']"))
    assert f"contact={first}" in visitor.page.url
    assert visitor.page.locator(open_).get_attribute("data-contact") == first
    with visitor.answered():
        visitor.page.go_back()
    expect(visitor.page.get_by_role("region", name=said["history"])).to_be_visible()
    visitor.click(visitor.page.get_by_role("button", name=said["back"]))
    assert visitor.rows(said["journal"])
    # The link is one that a browser can open elsewhere, too.
    link = visitor.page.locator(f"a[data-key='open-{second}']").get_attribute("href")
    assert link is not None
    visitor.page.goto(f"{visitor.server.address}/{link}")
    visitor.settle()
    assert visitor.page.locator(open_).get_attribute("data-contact") == second


def _sorting(visitor: Visitor, heading: str) -> Locator:
    return visitor.page.get_by_role("columnheader").get_by_role("button", name=heading)


def test_an_address_shows_the_same_to_somebody_else(browser: Browser, visitor: Visitor, server: ReportServer) -> None:
    visitor.open()
    visitor.choose("Типы обращений", "звонок")
    visitor.write("Телефон или имя", "анна")
    visitor.click(_sorting(visitor, "Телефон"))
    visitor.click(visitor.page.get_by_text("English", exact=True))
    shown = visitor.rows("Journal")
    assert shown and all(row["Type"] == "call" and "анна" in row["Client"].lower() for row in shown)
    other = Visitor(browser, server)
    other.page.goto(visitor.page.url)
    other.settle()
    assert other.rows("Journal") == shown
    assert other.page.locator("th[aria-sort]").inner_text().startswith("Phone")
    other.close()
    # What is left out of an address is as usual.
    visitor.open()
    everything = visitor.rows("Журнал")
    assert len(everything) > len(shown)
    # The browser's way back undoes what was chosen; who comes back from another page finds it as it was left.
    visitor.click(visitor.page.get_by_role("radio", name="Мультиканальные"))
    few = visitor.rows("Журнал")
    with visitor.answered():
        visitor.page.go_back()
    assert visitor.rows("Журнал") == everything
    with visitor.answered():
        visitor.page.go_forward()
    assert visitor.rows("Журнал") == few
    visitor.click(visitor.page.get_by_role("link", name="Данные"))
    visitor.click(visitor.page.get_by_role("link", name="Журнал"))
    assert visitor.rows("Журнал") == few and len(few) < len(everything)


def test_old_data_and_failed_updates_are_shown_on_every_page(browser: Browser, golden: Site, tmp_path: Path) -> None:
    site = golden.copy_to(tmp_path / "site")
    update = site.warehouse.folder / "last_update.json"
    update.write_text(
        json.dumps(
            {
                "outcome": "failed",
                "at": "2026-03-04T01:30:00+00:00",
                "step": "build",
                "message": "a test <b>failed</b>",
                "generation": None,
            }
        )
    )
    with a_report(site.warehouse.folder) as server:
        visitor = Visitor(browser, server)
        for language in LANGUAGES:
            said = SAID[language]
            for page in ("", "card", "channels", "chains", "data"):
                visitor.open(page, lang=language)
                banners = visitor.page.get_by_role("alert").all_inner_texts()
                assert len(banners) == 2
                assert said["stale"] in banners[0]
                assert said["failed"] in banners[1] and local_time(language, "2026-03-04T01:30:00+00:00") in plain(
                    banners[1]
                )
            assert "a test <b>failed</b>" in visitor.page.locator(".facts.client").first.inner_text()
        update.write_text(
            json.dumps(
                {
                    "outcome": "published",
                    "at": "2026-03-04T02:30:00+00:00",
                    "step": None,
                    "message": None,
                    "generation": 1,
                }
            )
        )
        visitor.open()
        assert len(visitor.page.get_by_role("alert").all()) == 1
        visitor.close()


# Beside what is asked for: what may not happen

HOSTILE = (
    "<script>window.harmed = 1</script>",
    '"><img src=x onerror="window.harmed=1">',
    "[щёлкни](javascript:window.harmed=1) **жирно** $x^2$ :material/home: :red[red]",
    "'; drop table journal; -- {{7*7}} ${7*7} %s {0} \\u202e a__b",
    "x;=1+1,=2+2",
    "  +cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example";"щёлкни")',
    "\u202eперевёрнуто\u0007 \u200b" + "очень-длинное-слово" * 14,
)


def hostile_site(folder: Path) -> Site:
    """Deliveries that say something hostile wherever they can say anything."""
    site = Site(folder)
    touches, contacts = [], []
    for number, text in enumerate(HOSTILE):
        for touch in range(3):
            touches.append(
                {
                    "touch_id": f"t{number}-{touch} {text}", "widget_id": f"w{number} {text}", "touched_at": f"2026-03-01T0{touch}:00:00Z",
                    "action_type": "click", "visitor_id": f"v{number} {text}", "utm_source": f"s{touch} {text}", "utm_medium": f"m {text}",
                    "utm_campaign": f"c {text}", "utm_term": f"q {text}", "utm_content": f"d {text}", "location": f"l {text}",
                    "landing_page": f"javascript:window.harmed=1//{text}", "device_type": f"e {text}", "page_hash": f"h {text}",
                    "visited_pages": json.dumps([f"javascript:window.harmed=1//{text}", text]),
                }
            )  # fmt: skip
        contacts.append(
            {
                "contact_id": f"c{number} {text}", "widget_id": f"w{number} {text}", "contacted_at": "2026-03-01T12:00:00Z",
                "contact_type": "call", "visitor_id": f"v{number} {text}", "phone": f"{number} {text}" if number else "+79001234567", "email": f"{number}@{text}".replace(" ", ""),
                "client_name": f"n {text}", "location": text, "final_group": f"g {text}", "call_page": f"javascript:{text}",
                f"unknown {text}": text,
            }
        )  # fmt: skip
    for table, rows in (("touches", touches), ("contacts", contacts)):
        day = site.landing / table / "2026-03-01"
        day.mkdir(parents=True)
        # Rows that are set aside say it too, and so does the file's name.
        rows = [*rows, {"widget_id": HOSTILE[0]}]
        lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (day / "<img src=x onerror=alert(1)>.jsonl").write_text(lines, "utf-8")
    site.load()
    return site


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return hostile_site(tmp_path_factory.mktemp("hostile"))


def test_hostile_data_is_shown_as_text_and_hostile_addresses_break_nothing(browser: Browser, hostile: Site) -> None:
    with a_report(hostile.warehouse.folder) as server:
        visitor = Visitor(browser, server)

        def is_unharmed() -> None:
            assert visitor.page.evaluate("window.harmed") is None
            # Nothing that a delivery says became an element or a way out.
            assert visitor.page.locator(".elements img, .elements script, .elements iframe").count() == 0
            ways_out = visitor.page.locator("a").evaluate_all("links => links.map(link => link.origin)")
            assert set(ways_out) <= {server.address}, ways_out
            assert visitor.page.locator("[data-testid='stException']").count() == 0

        visitor.open()
        rows = visitor.rows("Журнал")
        assert len(rows) == len(HOSTILE)
        shown = {row["Клиент"] for row in rows}
        assert {_visible(text) for text in shown} == {_visible(f"n {text}") for text in HOSTILE}
        assert {_visible(row["Сайт"]) for row in rows} == {
            _visible(f"w{number} {text}") for number, text in enumerate(HOSTILE)
        }
        is_unharmed()
        # Also where Streamlit's own widgets say it.
        visitor.page.get_by_role("combobox", name="Сайты").click()
        options = visitor.page.get_by_role("option").all_inner_texts()
        assert all(any(_visible(text)[:40] in _visible(option) for option in options) for text in HOSTILE)
        visitor.page.keyboard.press("Escape")
        is_unharmed()
        for number, text in list(enumerate(HOSTILE))[::2]:
            visitor.open("card", contact=f"c{number} {text}".strip())
            assert _visible(f"n {text}") in _visible(visitor.page.locator(".card").first.inner_text())
            visitor.page.locator(".hinted").first.hover()
            visitor.page.mouse.move(0, 0)
            for more in visitor.page.get_by_text("Дополнительно").all():
                more.click()
            tree = _visible(visitor.page.locator(".tree").inner_text())
            for field in ("s0", "m", "c", "q", "d", "l", "e", "h", "g"):
                assert _visible(f"{field} {text}").lower() in tree.lower(), field
            is_unharmed()
        for page in ("channels", "chains", "data"):
            visitor.open(page)
            if page == "chains":
                visitor.page.locator(".js-plotly-plot .sankey").first.wait_for()
            is_unharmed()
        # Each parameter of each address, with each text.
        parameters = {
            "": ("widget", "period", "type", "search", "tab", "sort", "order", "lang", "nobody_knows"),
            "card": ("contact", "tab", "lang"),
            "channels": ("widget", "period", "multichannel", "model", "lang"),
        }
        for page, names in parameters.items():
            for text in HOSTILE[1::2] if page == "" else HOSTILE[::3]:
                visitor.open(page, **{name: text for name in names})
                is_unharmed()
            visitor.open(page, **{name: ["", "2026-02-30", "9999-99-99", "💥"] for name in names})
            is_unharmed()
        # What is searched for is a value, never a part of a query.
        for text in (*HOSTILE[:2], "%", "_", "\\", "'", '"', "1' or '1'='1"):
            visitor.open(search=text)
            found = visitor.page.get_by_role("region", name="Журнал").count()
            is_unharmed()
            assert found == (
                1 if any(text.strip().lower()[:200] in f"n {other}".lower() for other in HOSTILE) else 0
            ), text
        visitor.close()


def _visible(text: str) -> str:
    """Without what browsers and trimming make of white space and characters that nobody sees."""
    return re.sub(r"[\s\u0007\u200b]+|_x0007_", "", text)


def test_what_is_exported_is_what_is_shown_and_safe_to_open(browser: Browser, hostile: Site) -> None:
    with a_report(hostile.warehouse.folder) as server:
        visitor = Visitor(browser, server)
        for language, delimiter in (("ru", ";"), ("en", ",")):
            said = SAID[language]
            visitor.open(lang=language)
            shown = visitor.rows(said["journal"])
            button = {"ru": "Скачать", "en": "Download"}[language]
            content = visitor.download(f"{button} CSV")
            assert content.startswith(b"\xef\xbb\xbf")
            lines = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=delimiter))
            assert len(lines) == len(shown) == len(HOSTILE)
            for line, row in zip(lines, shown, strict=True):
                for heading in (said["client"], said["phone"], said["location"], said["chain"]):
                    whole, seen = (_visible(text[heading]).replace("'", "") for text in (line, row))
                    beginning, cut, _ = seen.partition("…")  # what is too long for a page
                    assert whole == seen or (cut and len(beginning) > 200 and whole.startswith(beginning))
            # Not even where another language's spreadsheet would see a cell begin.
            pieces = [piece for line in lines for cell in line.values() for piece in re.split(r"[;,\t\r\n]", cell)]
            assert not any(re.match(r"[\s\"]*[=+\-@]", piece) for piece in pieces)
            assert {piece.strip()[:2] for piece in pieces} >= {"'=", "'+"}
            sheet = openpyxl.load_workbook(io.BytesIO(visitor.download(f"{button} Excel"))).active
            assert sheet is not None
            table = list(sheet.iter_rows())
            headings = [cell.value for cell in table[0]]
            assert headings == list(lines[0])
            for cells, row in zip(table[1:], shown, strict=True):
                assert all(cell.data_type in ("s", "n", "d") and cell.hyperlink is None for cell in cells)
                told = dict(zip(headings, cells, strict=True))
                for heading in (said["client"], said["location"]):
                    assert _visible(str(told[heading].value)) == _visible(row[heading])
                assert told[said["phone"]].data_type == "s"
                assert isinstance(told[said["icon"]].value, int)
                assert isinstance(told[said["time"]].value, datetime)
        visitor.close()


@pytest.fixture(scope="module")
def masked(golden: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReportServer]:
    """A report that hides phones, on data with a phone in every text."""
    folder = tmp_path_factory.mktemp("masked") / "warehouse"
    folder.mkdir()
    with_phones_everywhere(golden.publications.file(1), folder / "marts.duckdb")
    (folder / "last_update.json").write_text(
        json.dumps({
            "outcome": "failed", "at": "2026-03-04T01:30:00+00:00", "step": "build", "message": "row 5: 8 916 123-45-67", "generation": None,
        })
    )  # fmt: skip
    with a_report(folder, MASK_PHONES="true") as server:
        yield server


def test_no_whole_phone_leaves_a_server_that_hides_them(browser: Browser, masked: ReportServer) -> None:
    """Every frame, answer, address and file of all pages, tabs and choices, searched for every number in every spelling."""
    visitor = Visitor(browser, masked)
    received: list[bytes] = []
    page = visitor.page

    def keep(frame: str | bytes) -> None:
        received.append(frame.encode() if isinstance(frame, str) else frame)

    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    page.on("framenavigated", lambda frame: keep(frame.url))

    def export(name: str) -> bytes:
        with page.expect_download() as begun:
            page.get_by_role("button", name=name).first.click()
        keep(begun.value.suggested_filename)
        content = Path(begun.value.path()).read_bytes()
        if not name.endswith("CSV"):
            with zipfile.ZipFile(io.BytesIO(content)) as book:
                received.extend(book.read(member) for member in book.namelist())
        received.append(content)
        return content

    # The journal: pages, orders, filters, files.
    visitor.open(period=["2020-01-01", "2030-01-01"])
    rows = visitor.rows("Журнал")
    assert len(rows) == 50 and all("•••" in row["Телефон"] for row in rows)
    assert all("•••" in row["Клиент"] or "всего" in row["Клиент"] for row in rows)
    # A name of four million letters is cut where it is shown; files have all of it, as far as Excel can.
    visitor.click(page.get_by_role("button", name="Дальше"))
    visitor.click(_sorting(visitor, "Клиент"))
    assert _sorting(visitor, "Телефон").count() == 0
    long = [row for row in visitor.rows("Журнал") if "всего" in row["Клиент"]]
    assert len(long) == 1 and len(long[0]["Клиент"]) < 400
    assert max(map(len, export("Скачать CSV").decode("utf-8-sig").split(";"))) > LONG
    assert max(len(str(cell.value)) for cell in _cells(export("Скачать Excel"))) == 32_767
    # A site whose id holds a phone is a token, too.
    widget = rows_of_file(masked, "select min(widget_id) as widget_id from journal")[0]["widget_id"]
    visitor.open(widget=token_of(widget, _key(masked)), period=["2020-01-01", "2030-01-01"])
    assert "widget=" in page.url and visitor.rows("Журнал")
    visitor.click(page.get_by_text("English", exact=True))

    # A card by its link, which is a token; the 20th and the 21st contact of sixty; the history; what unfolds.
    first = rows_of_file(masked, "select contact_id from journal where contact_number = 60")[0]["contact_id"]
    assert list(traces(first))
    # By the phone itself nothing is found, and the address forgets it.
    other = Visitor(browser, masked)
    other.open("card", contact=first)
    assert other.page.locator("details.branch").count() == 0 and list(traces(other.page.url)) == []
    tokens = {
        row["contact_number"]: token_of(row["contact_id"], _key(masked))
        for row in rows_of_file(masked, "select contact_number, contact_id from journal where client_id in (select client_id from journal where contact_number = 60)")
    }  # fmt: skip
    for number, last in ((20, 20), (21, 40), (60, 60)):
        visitor.open("card", contact=tokens[number])
        branches = page.locator("details.branch")
        assert branches.count() == 20
        assert branches.nth(number - last + 19).get_attribute("data-contact") == tokens[number]
        assert page.locator("details.branch[open]").get_attribute("data-contact") == tokens[number]
    page.get_by_text("Подробнее о клиенте").click()
    page.locator("details.branch[open]").get_by_text("Дополнительно").first.click()
    page.locator("details.branch[open] .hinted").hover()
    visitor.click(page.get_by_role("radio", name="Вся история клиента"))
    export("Скачать CSV")
    visitor.click(page.locator("a[data-key^='history-']").nth(3))
    assert page.locator("details.branch[open]").get_attribute("data-contact") == tokens[4]
    visitor.open("channels", period=["2020-01-01", "2030-01-01"])
    for name in ("Скачать CSV", "Скачать Excel"):
        export(name)
    visitor.open("chains", multichannel="no")
    page.locator(".js-plotly-plot .sankey").first.wait_for()
    export("Скачать CSV")
    visitor.open("data")
    assert "row 5: •••4567" in page.locator(".facts.client").first.inner_text()
    sites = [row for row in visitor.rows("Нераспознанные источники") if row["Что это"] == "сайт"]
    assert ("4", "3") in [(row["Касаний"], row["Обращения"]) for row in sites]

    # A search for a phone says whether it is there, not of whom; it stands nowhere afterwards.
    visitor.open()
    there = rows_of_file(masked, "select min(phone) as phone from journal where phone like '+7%'")[0]["phone"]
    searches = [there, f"8 ({there[2:5]}) {there[5:]}", "+79990000001", "4567"]
    answers = []
    for typed in searches:
        visitor.write("Телефон или имя", typed)
        answers.append(page.locator(".notice").first.inner_text())
        assert typed not in page.url and page.get_by_role("searchbox").input_value() == ""
    assert answers == [
        *["Обращения с этим номером есть."] * 2,
        "Обращений с этим номером нет.",
        "Номера скрыты: ищите по имени без цифр или по номеру целиком.",
    ]
    other.open(search=there, sort="phone")
    assert "search" not in other.page.url and other.page.locator("th[aria-sort]").inner_text().startswith("Когда")
    other.close()
    visitor.open(search="Анна")
    assert len(received) > 30
    assert {number for text in received for number in traces(text.decode("utf-8", "ignore"))} == set()
    visitor.close()


def rows_of_file(server: ReportServer, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(server.warehouse / "marts.duckdb"), read_only=True) as connection:
        cursor = connection.execute(query)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _key(server: ReportServer) -> str:
    return Published(server.warehouse / "marts.duckdb", 1, "500MB", mask_phones=True).current().mask.key


def _cells(content: bytes) -> list[Any]:
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert sheet is not None
    return [cell for row in sheet.iter_rows() for cell in row]


# Each layout and each scheme once: neither changes the other.
@pytest.mark.parametrize(
    ("size", "scheme"), [((1360, 900), "light"), ((390, 844), "dark")], ids=["desktop-light", "phone-dark"]
)
def test_pages_are_accessible(
    browser: Browser, server: ReportServer, golden: Site, scheme: str, size: tuple[int, int]
) -> None:
    """WCAG 2.2 A and AA as far as axe can tell: contrast, names, roles, the order of headings."""
    visitor = Visitor(browser, server, color_scheme=scheme, viewport={"width": size[0], "height": size[1]})
    contact = rows_of(golden, "select min(contact_id) as contact_id from journal where is_multichannel")[0][
        "contact_id"
    ]
    pages: dict[str, dict[str, str]] = {
        "": {}, "card": {"contact": contact}, "card?": {"contact": contact, "tab": "history"}, "channels": {}, "chains": {}, "data": {},
    }  # fmt: skip
    for page, parameters in pages.items():
        visitor.open(page.rstrip("?"), **parameters)
        if page == "card":
            visitor.page.get_by_text("Дополнительно").first.click()
        visitor.page.wait_for_timeout(300)  # until what fades in is there
        found = Axe().run(visitor.page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
        violations = [
            (violation["id"], node["target"], node.get("failureSummary"))
            for violation in found.response["violations"]
            for node in violation["nodes"]
            if not _is_streamlits_own(violation["id"], node)
        ]
        assert violations == [], page
        assert visitor.page.evaluate("document.documentElement.lang") == "ru"
        # Nothing makes a phone scroll sideways.
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visitor.close()


def _is_streamlits_own(violation: str, node: dict[str, Any]) -> bool:
    """The parts of a date in Streamlit's own field lie closer together than fingers like; the whole field opens a calendar."""
    return violation == "target-size" and "react-aria" in str(node["target"])


def test_no_other_site_reads_along_by_another_name(browser: Browser, server: ReportServer, golden: Site) -> None:
    """A site whose name leads to this machine is told nothing, unless the name was said to be the report's."""
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(f"http://report.example:{server.port}/")
    page.wait_for_function("performance.now() > 2000")
    assert any("403" in text for text in refused) and page.locator(".elements").count() == 0
    page.close()
    with a_report(golden.warehouse.folder, REPORT_NAMES="report.example") as named:
        page = browser.new_page()
        page.goto(f"http://report.example:{named.port}/")
        page.locator("footer").wait_for()
        page.close()


def test_a_socket_is_opened_for_the_reports_own_pages_only(server: ReportServer) -> None:
    """Another port of this machine is another's page. Uploads and the like are for the report's own, too."""

    def status(method: str, path: str, **headers: str) -> int:
        with httpx.stream(method, f"{server.address}/{path}", headers=headers) as answer:
            assert "access-control-allow-origin" not in answer.headers
            return answer.status_code

    socket = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert status("GET", "_stcore/stream", Origin=server.address, **socket) == 101
    others = (
        f"http://127.0.0.1:{server.port + 1}",
        "http://127.0.0.1",
        f"http://localhost:{server.port}",
        "http://report.example",
        "null",
    )
    for origin in [{"Origin": other} for other in others] + [{}]:
        assert status("GET", "_stcore/stream", **origin, **socket) == 403, origin
        assert {status(method, "_stcore/upload_file/a/b", **origin) for method in ("POST", "PUT", "DELETE")} == {403}
    assert status("GET", "_stcore/health", Origin=others[0]) == 403
    assert status("GET", "_stcore/health") == status("GET", "", Origin=server.address) == 200


def test_pages_work_by_keyboard(visitor: Visitor, golden: Site) -> None:
    visitor.open()
    contact = rows_of(golden, "select contact_id from journal order by contacted_at desc, contact_id desc limit 1")[0][
        "contact_id"
    ]
    link = visitor.page.locator(f"a[data-key='open-{contact}']")
    for _ in range(60):
        visitor.page.keyboard.press("Tab")
        if link.evaluate("link => link.getRootNode().activeElement === link"):
            break
    else:
        raise AssertionError("the link to a card isn't reached by Tab")
    outline = link.evaluate("link => getComputedStyle(link).outlineStyle")
    assert outline == "solid"
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_url("**/card?**")
    visitor.settle()
    assert f"contact={contact}" in visitor.page.url


def test_a_new_generation_is_shown_without_a_restart(browser: Browser, golden: Site, tmp_path: Path) -> None:
    site = golden.copy_to(tmp_path / "site")
    with a_report(site.warehouse.folder) as server:
        visitor = Visitor(browser, server)
        visitor.open()
        before = visitor.rows("Журнал")
        assert visitor.generations() == {"1"}
        day = site.landing / "contacts" / "2026-03-04"
        day.mkdir()
        (day / "new.csv").write_text(
            "contact_id,widget_id,contacted_at,contact_type,phone\nc-new,w1,2026-03-04 12:00,chat,+79998887766\n"
        )
        site.load()
        visitor.click(visitor.page.get_by_role("radio", name="Мультиканальные"))
        visitor.click(visitor.page.get_by_role("radio", name="Все обращения"))
        after = visitor.rows("Журнал")
        assert visitor.generations() == {"2"}
        assert after[0]["Телефон"] == "+79998887766" and all(row in after for row in before)
        site.run("rollback")
        visitor.click(visitor.page.get_by_role("radio", name="Мультиканальные"))
        visitor.click(visitor.page.get_by_role("radio", name="Все обращения"))
        assert visitor.rows("Журнал") == before
        assert "rollback" in " ".join(visitor.page.get_by_role("alert").all_inner_texts())
        visitor.close()
