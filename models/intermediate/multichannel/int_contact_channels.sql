-- One row per contact and channel of its counted touches (R4), with the part that the channel took (R24). Covers all counted
-- touches, whatever histories keep: those of whole histories one by one, others by ranges.
with

ranges as (

    select * from {{ ref('int_contact_touch_ranges') }}

),

whole_histories as (

    select
        contact_touches.contact_id,
        contact_touches.channel,
        contact_touches.touch_rank,
        ranges.touch_count
    from {{ ref('int_contact_touches') }} as contact_touches
    inner join ranges on contact_touches.contact_id = ranges.contact_id
    where ranges.touch_count <= {{ var('history_touch_limit') }}

),

cut_histories as (

    select * from ranges
    where touch_count > {{ var('history_touch_limit') }}

),

touches as (

    select * from {{ ref('int_client_touches') }}
    where is_counted and client_id in (select client_id from cut_histories)

),

client_channels as (

    select
        client_id,
        channel,
        min(touch_number) as touch_number
    from touches
    group by client_id, channel

),

-- Take each channel's latest touch before the contact's last one. If it comes after the range's first touch, the channel assisted.
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
        cut_histories.client_id,
        client_channels.channel,
        cut_histories.last_touch_number - 1 as touch_number,
        null as latest_touch_number,
        cut_histories.contact_id,
        cut_histories.first_touch_number
    from cut_histories
    inner join client_channels
        on cut_histories.client_id = client_channels.client_id
        and cut_histories.last_touch_number > client_channels.touch_number

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

),

parts as (

    select
        contact_id,
        channel,
        case when touch_rank = 1 then 1 else 0 end as is_opening,
        case when touch_rank > 1 and touch_rank < touch_count then 1 else 0 end as is_assisting,
        case when touch_rank = touch_count then 1 else 0 end as is_closing
    from whole_histories
    union all
    select
        contact_id,
        channel,
        0 as is_opening,
        1 as is_assisting,
        0 as is_closing
    from latest_touches
    where contact_id is not null and latest_touch_number > first_touch_number
    union all
    select
        cut_histories.contact_id,
        touches.channel,
        1 as is_opening,
        0 as is_assisting,
        0 as is_closing
    from cut_histories
    inner join touches
        on cut_histories.client_id = touches.client_id
        and cut_histories.first_touch_number = touches.touch_number
    union all
    select
        cut_histories.contact_id,
        touches.channel,
        0 as is_opening,
        0 as is_assisting,
        1 as is_closing
    from cut_histories
    inner join touches
        on cut_histories.client_id = touches.client_id
        and cut_histories.last_touch_number = touches.touch_number

)

select
    contact_id,
    channel,
    max(is_opening) = 1 as is_opening,
    max(is_assisting) = 1 as is_assisting,
    max(is_closing) = 1 as is_closing
from parts
group by contact_id, channel
