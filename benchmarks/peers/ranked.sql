-- One row per contact, as dbt's attribution packages count: rank all touches per contact in its window, then aggregate.
with

touches_before_contacts as (

    select
        client_contacts.contact_id,
        client_touches.channel,
        row_number() over contact_touches as touch_number,
        count(*) over (partition by client_contacts.contact_id) as touch_count,
        row_number() over (
            partition by client_contacts.contact_id, client_touches.channel order by client_touches.touched_at, client_touches.touch_id
        ) as channel_touch_number
    from client_contacts
    inner join client_touches
        on client_contacts.client = client_touches.client
        and client_contacts.contacted_at > client_touches.touched_at
    window contact_touches as (
        partition by client_contacts.contact_id order by client_touches.touched_at, client_touches.touch_id
    )

),

counts as (

    select
        contact_id,
        max(touch_count) as touch_count,
        count(*) filter (where channel_touch_number = 1) as channel_count,
        string_agg(channel, ' > ' order by touch_number) filter (where touch_number > touch_count - 200) as touch_chain
    from touches_before_contacts
    group by contact_id

)

select
    client_contacts.contact_id,
    client_contacts.client_id,
    coalesce(counts.touch_count, 0) as touch_count,
    coalesce(counts.channel_count, 0) as channel_count,
    coalesce(counts.channel_count >= 2, false) as is_multichannel,
    if(counts.touch_count > 200, '… > ', '') || counts.touch_chain as touch_chain
from client_contacts
left join counts on client_contacts.contact_id = counts.contact_id
