-- One row per contact and counted touch, with its rank (R5): the latest `history_touch_limit` of them (Marts). Says which touches
-- repeat a channel (R23).
with

ranges as (

    select
        *,
        greatest(first_touch_number, last_touch_number - {{ var('history_touch_limit') }} + 1) as first_kept_number
    from {{ ref('int_contact_touch_ranges') }}
    where touch_count > 0

),

touches as (

    select * from {{ ref('int_client_touches') }}
    where is_counted

),

kept_numbers as (

    select
        contact_id,
        client_id,
        first_touch_number,
        first_kept_number,
        {{ rows_of({'touch_number': numbers_between('first_kept_number', 'last_touch_number')}) }}
    from ranges

)

select
    kept_numbers.contact_id,
    kept_numbers.client_id,
    kept_numbers.touch_number - kept_numbers.first_touch_number + 1 as touch_rank,
    touches.touch_id,
    touches.touched_at,
    touches.channel,
    -- The first touch that is kept is never a repeat, whatever came before it.
    coalesce(touches.previous_touch_number < kept_numbers.first_kept_number, true) as is_new_channel,
    kept_numbers.touch_number = kept_numbers.first_kept_number
    or coalesce(touches.previous_touch_number, 0) <> kept_numbers.touch_number - 1 as is_other_channel
from kept_numbers
inner join touches
    on kept_numbers.client_id = touches.client_id
    and kept_numbers.touch_number = touches.touch_number
-- Sort these narrow rows here, so that the wide rows joined to them needn't be sorted: each history is then stored in one place.
order by kept_numbers.contact_id, touch_rank
