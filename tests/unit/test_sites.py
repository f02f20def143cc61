"""Sites that `widgets.csv` doesn't name, and sites that lost their touches, are said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from pipeline.sites import SHOWN_SITES, site_warnings


def published(
    file: Path,
    contacts: Mapping[str, tuple[int, int]],
    unknown: Mapping[str, tuple[int, int]] = {},
    touches: Mapping[str, int] = {},
) -> Path:
    """A generation: by site, contacts with touches and without; by unknown site, touches and contacts; touches by outcome."""
    with duckdb.connect(str(file)) as connection:
        connection.execute(
            "create table _loads (table_name text, outcome text, loaded_count bigint, superseded_by bigint)"
        )
        for outcome, touch_count in touches.items():
            connection.execute("insert into _loads values ('touches', ?, ?, null)", [outcome, touch_count])
        connection.execute("insert into _loads values ('contacts', 'loaded', 9, null), ('touches', 'loaded', 9, 7)")
        connection.execute("create table journal (widget_id text, touch_count bigint)")
        for site, counts in contacts.items():
            for touch_count, contact_count in zip((3, 0), counts, strict=True):
                connection.execute("insert into journal select ?, ? from range(?)", [site, touch_count, contact_count])
        connection.execute(
            "create table unmapped_sources (kind text, widget_id text, contact_count bigint, touch_count bigint)"
        )
        connection.execute("insert into unmapped_sources values ('tags', null, 5, 5)")
        for site, (touches, contact_count) in unknown.items():
            connection.execute("insert into unmapped_sources values ('site', ?, ?, ?)", [site, contact_count, touches])
    return file


def test_a_site_that_the_seed_does_not_name_is_said_with_its_touches_and_contacts(tmp_path: Path) -> None:
    file = published(tmp_path / "it's.duckdb", {"a": (1, 1)}, {"дом": (1, 0), "shop": (1234, 2)})
    (warning,) = site_warnings(file, None)
    assert warning.startswith(
        "2 sites missing in seeds/widgets.csv: shop (1,234 touches, 2 contacts) and дом (1 touch, 0 contacts). Add"
    )
    assert site_warnings(published(tmp_path / "known.duckdb", {"a": (1, 1)}), None) == []
    many = published(tmp_path / "many.duckdb", {}, {f"s{number:02}": (1, 0) for number in range(SHOWN_SITES + 2)})
    assert " and 2 more. Add" in site_warnings(many, None)[0]


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        ({"a": (8, 2), "b": (8, 2)}, {"a": (1, 9), "b": (2, 3)}, "a (80% before, 10% now)"),
        ({"a": (8, 2)}, {"a": (8, 2), "new": (0, 20)}, "new (new, 0% now)"),
        ({"a": (8, 2)}, {"a": (0, 2)}, "a (80% before, 0% now)"),
        # Half is not more than half; a site alone is not all; nothing before is nothing to fall from.
        ({"a": (8, 2)}, {"a": (4, 6)}, None),
        ({"a": (8, 2), "b": (80, 20)}, {"a": (0, 10), "b": (80, 20)}, None),
        ({"a": (0, 5)}, {"a": (0, 9)}, None),
        ({}, {"a": (0, 9)}, None),
        ({"a": (8, 2)}, {}, None),
    ],
)
def test_contacts_that_lost_their_touches_are_said(
    tmp_path: Path, before: dict[str, tuple[int, int]], now: dict[str, tuple[int, int]], named: str | None
) -> None:
    warnings = site_warnings(published(tmp_path / "now.duckdb", now), published(tmp_path / "before.duckdb", before))
    assert len(warnings) == (named is not None)
    if named:
        assert f": {named}. Do touches" in warnings[0]


def test_contacts_that_no_touch_is_tied_to_are_said(tmp_path: Path) -> None:
    file = published(tmp_path / "untied.duckdb", {"a": (0, 40)}, touches={"loaded": 60, "failed": 7})
    (warning,) = site_warnings(file, None)
    assert warning == (
        "None of 40 contacts has touches, though 60 touches are loaded. Both need the same identifiers: visitor_id, "
        "yandex_client_id, google_client_id or crm_client_id; phones and emails tie contacts only. A visitor_id is the same in "
        "two sources only if both have the same kind and `account` in sources.yml."
    )
    for number, (contacts, touches) in enumerate([((1, 39), 60), ((0, 40), 0), ((0, 0), 60)]):
        file = published(tmp_path / f"{number}.duckdb", {"a": contacts}, touches={"loaded": touches})
        assert site_warnings(file, None) == []
