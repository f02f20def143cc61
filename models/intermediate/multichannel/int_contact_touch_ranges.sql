-- One row per contact: the range of its client's touches that count, by number (R2, R7, R8, R12), and how many don't count, and
-- why (Why). A range is two numbers, so nothing here grows with touches times contacts.
with

contacts as (

    select
        contact_id,
        client_id,
        {{ counting_starts_at('contacted_at', 'previous_contact_at') }} as counting_starts_at,
        {{ counting_ends_at('contacted_at') }} as counting_ends_at
    from {{ ref('int_contact_clients') }}

),

touches as (

    select
        client_id,
        touch_id,
        touched_at,
        case when is_counted then 1 else 0 end as touch_count
    from {{ ref('int_client_touches') }}

),

clients as (

    select
        client_id,
        count(*) as client_touch_count
    from touches
    group by client_id

),

-- A bound sorts before touches of the same instant: only touches strictly before it are counted. In which order these touches come
-- tells nothing about any bound.
timeline as (

    select
        client_id,
        counting_starts_at as happened_at,
        0 as client_touch_count,
        0 as touch_count,
        contact_id,
        'start' as bound
    from contacts
    where counting_starts_at is not null
    union all
    select
        client_id,
        counting_ends_at as happened_at,
        0 as client_touch_count,
        0 as touch_count,
        contact_id,
        'end' as bound
    from contacts
    union all
    select
        client_id,
        touched_at as happened_at,
        1 as client_touch_count,
        touch_count,
        null as contact_id,
        'touch' as bound
    from touches

),

counted_timeline as (

    select
        contact_id,
        bound,
        sum(touch_count) over (
            partition by client_id
            order by happened_at, client_touch_count
            rows between unbounded preceding and current row
        ) as touches_before,
        sum(client_touch_count) over (
            partition by client_id
            order by happened_at, client_touch_count
            rows between unbounded preceding and current row
        ) as client_touches_before
    from timeline

),

bounds as (

    select
        contact_id,
        coalesce(max(case when bound = 'start' then touches_before end), 0) as touches_before_start,
        max(case when bound = 'end' then touches_before end) as touches_before_end,
        coalesce(max(case when bound = 'start' then client_touches_before end), 0) as client_touches_before_start,
        max(case when bound = 'end' then client_touches_before end) as client_touches_before_end
    from counted_timeline
    where bound <> 'touch'
    group by contact_id

)

select
    contacts.contact_id,
    contacts.client_id,
    cast(bounds.touches_before_start + 1 as bigint) as first_touch_number,
    cast(bounds.touches_before_end as bigint) as last_touch_number,
    cast(bounds.touches_before_end - bounds.touches_before_start as bigint) as touch_count,
    cast(coalesce(clients.client_touch_count, 0) - bounds.client_touches_before_end as bigint) as later_touch_count,
    cast(bounds.client_touches_before_start as bigint) as earlier_touch_count,
    cast(
        (bounds.client_touches_before_end - bounds.client_touches_before_start)
        - (bounds.touches_before_end - bounds.touches_before_start) as bigint
    ) as left_out_direct_count
from contacts
inner join bounds on contacts.contact_id = bounds.contact_id
left join clients on contacts.client_id = clients.client_id
