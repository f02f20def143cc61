-- One row per contact, as tools count that take path strings: join each contact's touches into a string, then split it again.
with

paths as (

    select
        client_contacts.contact_id,
        string_agg(client_touches.channel, ' > ' order by client_touches.touched_at, client_touches.touch_id) as path
    from client_contacts
    inner join client_touches
        on client_contacts.client = client_touches.client
        and client_contacts.contacted_at > client_touches.touched_at
    group by client_contacts.contact_id

),

steps as (

    select
        contact_id,
        unnest(string_split(path, ' > ')) as channel,
        generate_subscripts(string_split(path, ' > '), 1) as touch_number
    from paths

),

counts as (

    select
        contact_id,
        count(*) as touch_count,
        count(distinct channel) as channel_count,
        list(channel order by touch_number) as channels
    from steps
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
