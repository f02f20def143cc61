"""The report: what Streamlit runs for every visitor and every click. Started by `python -m report`."""

import logging
from collections.abc import Callable
from functools import partial

import duckdb
import streamlit as st

from pipeline.settings import LANGUAGES, ReportSettings, Settings
from report import card, chains, channels, elements, journal, state
from report.parts import notice
from report.published import NothingPublishedError, Published
from report.reporting import Report
from report.words import NATIVE_NAMES, Words

log = logging.getLogger("report")

PAGES: dict[str, Callable[[Report], None]] = {
    "journal": journal.show,
    "card": card.show,
    "channels": channels.show,
    "chains": chains.show,
    "data": state.show,
}
ICONS = {"journal": "list_alt", "card": "person", "channels": "hub", "chains": "route", "data": "database"}


@st.cache_resource
def published() -> Published:
    settings, report_settings = Settings.read(), ReportSettings.read()
    return Published(
        settings.warehouse_dir / "marts.duckdb",
        settings.threads,
        report_settings.memory_limit,
        report_settings.mask_phones,
    )


def chosen_language(default: str) -> str:
    """What the address says, and beside it whoever clicks."""
    said = st.query_params.get("lang")
    if said in LANGUAGES and said != st.session_state.get("said_language"):
        st.session_state["language"] = said
    st.session_state["said_language"] = said
    return st.session_state.setdefault("language", default)


def run() -> None:
    settings = ReportSettings.read()
    language = chosen_language(settings.language)
    words = Words(language)
    st.set_page_config(page_title=words("title"), page_icon=str(elements.FOLDER / "icon.svg"), layout="wide")
    # One generation for the whole page: a new one is for the next run.
    try:
        generation = published().current()
    except NothingPublishedError:
        elements.show(
            [notice(words("nothing_published"))], "nothing", {"generation": 0, "language": language, "run": 0}
        )
        return
    except (duckdb.Error, OSError):
        log.exception("the published file can't be opened")
        elements.show([notice(words("query_failed"))], "nothing", {"generation": 0, "language": language, "run": 0})
        return
    st.session_state["run"] = st.session_state.get("run", 0) + 1
    report = Report(generation, words, settings, st.session_state["run"])
    pages = {}
    for name, show in PAGES.items():
        pages[name] = st.Page(
            partial(show, report), title=words(f"page_{name}"), icon=f":material/{ICONS[name]}:",
            url_path=name, default=name == "journal",
        )  # fmt: skip
    page = st.navigation(list(pages.values()), position="top")
    if going := st.session_state.pop("going", None):
        st.switch_page(pages[going[0]], query_params=going[1])
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="title"):
        report.show(elements.element("h1", page.title), key="heading")
        st.segmented_control(
            words("language"), LANGUAGES, key="language", format_func=NATIVE_NAMES.__getitem__, required=True,
            label_visibility="collapsed",
        )  # fmt: skip
    try:
        if banners := state.banners(report):
            report.show(*banners, key="banners")
        page.run()
    except duckdb.CatalogException:
        log.exception("a mart is missing")
        report.show(notice(words("older_version")), key="failure")
    except duckdb.Error:
        log.exception("a question failed")
        report.show(notice(words("query_failed")), key="failure")
    report.show(_footer(report), key="footer")


def _footer(report: Report) -> elements.Node:
    words, generation = report.words, report.generation
    said = words(
        "footer", generation=generation.number, day=words.day(generation.data_through) or "—", zone=generation.time_zone
    )
    masked = f" · {words('masked_note')}" if report.settings.mask_phones else ""
    return elements.element("footer", said + masked)


run()
