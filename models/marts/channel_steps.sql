-- One row per widget, day, channel and next channel (R23). The next channel is null where the contact follows.
{{ config(materialized='view', tags='static_view') }}

with

-- A contact has one day. Partitioning by it too lets DuckDB filter by day before the window.
touches as (

    select
        widget_id,
        contact_date,
        is_multichannel,
        channel,
        lead(channel) over (partition by contact_date, contact_id order by touch_position) as next_channel
    from {{ ref('int_touch_credits') }}
    where touch_id is not null

)

select
    widget_id,
    contact_date,
    channel,
    next_channel,
    count(*) as step_count,
    {{ count_where('is_multichannel') }} as multichannel_step_count
from touches
where next_channel is null or next_channel <> channel
group by widget_id, contact_date, channel, next_channel
order by widget_id, contact_date, channel, next_channel
