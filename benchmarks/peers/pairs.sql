-- One row per contact, counted over all pairs of a contact and an earlier touch of its client.
with

pairs as (

    select
        client_contacts.contact_id,
        client_touches.channel,
        client_touches.touched_at,
        client_touches.touch_id
    from client_contacts
    inner join client_touches
        on client_contacts.client = client_touches.client
        and client_contacts.contacted_at > client_touches.touched_at

),

counts as (

    select
        contact_id,
        count(*) as touch_count,
        count(distinct channel) as channel_count,
        list(channel order by touched_at, touch_id) as channels
    from pairs
    group by contact_id

)

select
    client_contacts.contact_id,
    client_contacts.client_id,
    coalesce(counts.touch_count, 0) as touch_count,
    coalesce(counts.channel_count, 0) as channel_count,
    coalesce(counts.channel_count >= 2, false) as is_multichannel,
    if(counts.touch_count > 200, '… > ', '') || array_to_string(counts.channels[-200:], ' > ') as touch_chain
from client_contacts
left join counts on client_contacts.contact_id = counts.contact_id
