-- One row per contact and channel that counts for it.
with

ranges as (

    select * from {{ ref('int_contact_touch_ranges') }}
    where touch_count > 0

),

touches as (

    select * from {{ ref('int_client_touches') }}
    where is_counted

),

client_channels as (

    select
        client_id,
        channel,
        min(touch_number) as touch_number
    from touches
    group by client_id, channel

),

-- A channel counts when its latest touch before the range's end is not before the range's start.
timeline as (

    select
        client_id,
        channel,
        touch_number,
        touch_number as latest_touch_number,
        null as contact_id,
        null as first_touch_number
    from touches
    union all
    select
        ranges.client_id,
        client_channels.channel,
        ranges.last_touch_number as touch_number,
        null as latest_touch_number,
        ranges.contact_id,
        ranges.first_touch_number
    from ranges
    inner join client_channels
        on ranges.client_id = client_channels.client_id
        and ranges.last_touch_number >= client_channels.touch_number

),

latest_touches as (

    select
        contact_id,
        channel,
        first_touch_number,
        max(latest_touch_number) over (
            partition by client_id, channel
            order by touch_number, latest_touch_number nulls last, contact_id
            rows between unbounded preceding and current row
        ) as latest_touch_number
    from timeline

)

select
    contact_id,
    channel
from latest_touches
where contact_id is not null and latest_touch_number >= first_touch_number
