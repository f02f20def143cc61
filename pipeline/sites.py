"""Warnings about a published generation's sites, such as those missing from `widgets.csv`."""

from pathlib import Path

import duckdb

from pipeline import sql
from pipeline.wording import counted, listed

SHOWN_SITES = 10


def site_warnings(file: Path, previous_file: Path | None) -> list[str]:
    """Warnings, a line each, from a generation's published file and the previous generation's, if any."""
    with duckdb.connect(config={"threads": 1}) as connection:
        for name, published in (("published", file), ("previous", previous_file)):
            if published:
                sql.attach(connection, published, name)
        warnings = [_unknown_sites(connection), _untied_contacts(connection)]
        if previous_file:
            warnings.append(_lost_touches(connection))
    return [warning for warning in warnings if warning]


def _unknown_sites(connection: duckdb.DuckDBPyConnection) -> str | None:
    """R13: sites of touches or contacts that the seed doesn't list."""
    sites = connection.execute(
        """
        select widget_id, touch_count, contact_count from published.unmapped_sources where kind = 'site'
        order by contact_count desc, touch_count desc, widget_id
        """
    ).fetchall()
    if not sites:
        return None
    shown = [
        f"{site} ({counted(touches or 0, 'touch')}, {counted(contacts, 'contact')})"
        for site, touches, contacts in sites[:SHOWN_SITES]
    ]
    more = [f"{len(sites) - SHOWN_SITES:,} more"] if len(sites) > SHOWN_SITES else []
    return (
        f"{counted(len(sites), 'site')} missing in seeds/widgets.csv: {listed([*shown, *more])}. Add each with its brand and "
        "hosts: without them it is of the brand `default`, and its clients are nobody else's."
    )


def _untied_contacts(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Touches and contacts without common identifiers look like contacts without advertising."""
    contacts, tied, touches = connection.execute(
        """
        select
            (select count(*) from published.journal),
            (select count(*) from published.journal where touch_count > 0),
            (select sum(loaded_count) from published._loads
            where table_name = 'touches' and outcome = 'loaded' and superseded_by is null)
        """
    ).fetchone() or (0, 0, 0)
    if not contacts or tied or not touches:
        return None
    return (
        f"None of {counted(contacts, 'contact')} has touches, though {counted(touches, 'touch')} are loaded. Both need the same "
        "identifiers: visitor_id, yandex_client_id, google_client_id or crm_client_id; phones and emails tie contacts only. A "
        "visitor_id is the same in two sources only if both have the same kind and `account` in sources.yml."
    )


def _lost_touches(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Warns if the share of contacts with touches fell by more than half, and names the sites."""
    shares = """
        select widget_id, count(*) as contacts, avg(cast(touch_count > 0 as integer)) as share
        from {}.journal group by rollup (widget_id)
    """
    fallen = connection.execute(
        f"""
        with now as ({shares.format("published")}), before as ({shares.format("previous")})
        select now.widget_id, before.share, now.share
        from now left join before on now.widget_id is not distinct from before.widget_id
        -- A site that is new is compared with all others.
        where now.share < coalesce(before.share, (select share from before where widget_id is null)) / 2
        order by now.widget_id is not null, now.contacts desc, now.widget_id
        """
    ).fetchall()
    if not fallen or fallen[0][0] is not None:
        return None
    (_, before, now), *sites = fallen
    shown = [
        f"{site} ({'new' if previous is None else f'{previous:.0%} before'}, {share:.0%} now)"
        for site, previous, share in sites[:SHOWN_SITES]
    ]
    return (
        f"Only {now:.0%} of contacts have touches, {before:.0%} in the generation before: {listed(shown) or 'on no site by itself'}. "
        "Do touches still come, with the same widget_id and identifiers as the contacts?"
    )
