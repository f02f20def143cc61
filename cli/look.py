"""`look`: an excerpt of what is published."""

from typing import Annotated

import typer

from cli.output import Excerpt, Problem, Verbose, console
from pipeline.publishing import PublicationError, Publications
from pipeline.settings import Rules, Settings
from pipeline.warehouse import Warehouse


def look(
    contact: Annotated[
        str | None, typer.Option("--contact", help="A contact's id; one worth looking at by default.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Show an excerpt of the journal, what channels cost and earned, and one client's card with its history."""
    publications = Publications(Warehouse(Settings.read().warehouse_dir))
    current = publications.current()
    if current is None:
        raise PublicationError("Nothing is published yet: run a load first.")
    zone = Rules.read().report_timezone
    with publications.opened(current) as connection:
        connection.execute("set TimeZone = ?", [zone])
        excerpt = Excerpt(connection, verbose)
        excerpt.show(
            f"Журнал: the latest contacts (times in {zone})",
            """
            select
                strftime(contacted_at, '%d.%m.%Y %H:%M') as "when", contact_type as type, widget_name as site,
                client_name as client, coalesce(phone, '') as phone, icon, touch_count as touches,
                coalesce(touch_chain, '') as chain
            from journal order by contacted_at desc, contact_id limit $rows
            """,
            {"rows": 12 if verbose else 4},
            otherwise="There is no contact yet.",
        )
        excerpt.show(
            "Каналы: what they cost and earned, all touches of a contact counting the same (model linear)",
            """
            select
                channel, format('{:,.0f}', sum(spend)::double) as spend, round(sum(credited_contacts), 1) as contacts,
                coalesce(format('{:,.0f}', nullif(sum(spend), 0)::double / nullif(sum(credited_contacts), 0)::double), '') as "cost per contact",
                coalesce(format('{:.1f}', sum(credited_value)::double / nullif(sum(spend), 0)::double), '') as "return on spend"
            from channel_performance where model = 'linear'
            group by channel order by sum(credited_contacts) desc, channel limit $rows
            """,
            {"rows": 12 if verbose else 4},
        )
        chosen = connection.execute(
            """
            select contact_id, client_id from journal
            inner join client_card using (client_id)
            where coalesce(contact_id = $contact, is_multichannel)
            order by touch_count between 3 and 4 desc, touch_count between 3 and 8 desc, contact_count between 2 and 5 desc, contacted_at desc, contact_id
            limit 1
            """,
            {"contact": contact},
        ).fetchone()
        if chosen is None:
            if contact:
                raise Problem(f"There is no contact {contact} in generation {current}.")
            console.print("No contact is multichannel yet.")
            return
        excerpt.show(
            "Карточка клиента: one client",
            """
            select
                client_name as client, coalesce(phone, '') as phone, location,
                strftime(first_touch_at, '%d.%m.%Y %H:%M') as "first touch", contact_count as contacts,
                multichannel_contact_count as multichannel
            from client_card where client_id = $client
            """,
            {"client": chosen[1]},
        )
        if verbose or contact:
            excerpt.show(
                "Вся история клиента: all the client's contacts",
                """
                select
                    contact_number as no, strftime(contacted_at, '%d.%m.%Y %H:%M') as "when", contact_type as type, location,
                    touch_count as touches, coalesce(highlight, '') as highlight
                from client_history where client_id = $client order by contact_number
                """,
                {"client": chosen[1]},
            )
        excerpt.show(
            f"История взаимодействия: the touches that led to contact {chosen[0]}",
            """
            select
                touch_rank as no, strftime(touched_at, '%d.%m.%Y %H:%M') as "when", action_type as action, channel,
                coalesce(utm_campaign, '') as campaign, coalesce(utm_term, '') as term, coalesce(device_type, '') as device
            from interaction_history where contact_id = $contact order by touch_rank
            """,
            {"contact": chosen[0]},
            most=None if verbose or contact else 5,
        )
