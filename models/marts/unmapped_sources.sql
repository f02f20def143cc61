-- One row per kind, widget, source and medium that the seeds don't know (R11, R13).
{{ config(materialized='view', tags='static_view') }}

with

contacts_by_widget as (

    select
        widget_id,
        count(*) as contact_count,
        max(contact_date) as last_contact_date
    from {{ ref('journal') }}
    group by widget_id

),

widgets as (

    select * from {{ ref('widgets') }}

),

sites_of_contacts as (

    select contacts_by_widget.*
    from contacts_by_widget
    left join widgets on contacts_by_widget.widget_id = widgets.widget_id
    where widgets.widget_id is null

),

sites_of_touches as (

    select * from {{ ref('stg_unknown_sites') }}

),

-- Touches that no channel rule names, and whose source or medium no seed knows.
touches as (

    select * from {{ ref('int_touch_credits') }}
    where channel_rule_order is null
        and (
            channel_told_by = 'referring_site'
            or channel_told_by = 'tags' and (source = '(not set)' or medium = '(not set)')
        )

),

unmapped as (

    select
        'site' as kind,
        coalesce(sites_of_contacts.widget_id, sites_of_touches.widget_id) as widget_id,
        null as source,
        null as medium,
        coalesce(sites_of_contacts.contact_count, 0) as contact_count,
        coalesce(sites_of_touches.touch_count, 0) as touch_count,
        sites_of_contacts.last_contact_date
    from sites_of_contacts
    full outer join sites_of_touches on sites_of_contacts.widget_id = sites_of_touches.widget_id
    union all
    select
        channel_told_by as kind,
        null as widget_id,
        source,
        medium,
        count(distinct contact_id) as contact_count,
        count(distinct touch_id) as touch_count,
        max(contact_date) as last_contact_date
    from touches
    group by channel_told_by, source, medium

)

select
    kind,
    widget_id,
    source,
    medium,
    contact_count,
    touch_count,
    last_contact_date
from unmapped
order by kind, widget_id, source, medium
