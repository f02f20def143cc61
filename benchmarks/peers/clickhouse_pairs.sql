-- One row per contact, counted over all pairs of a contact and an earlier touch of its client.
with

client_contacts as (

    select
        contacts.contact_id as contact_id,
        contacts.contacted_at as contacted_at,
        clients.client as client,
        'client-' || first_value(contacts.contact_id) over (
            partition by clients.client order by contacts.contacted_at, contacts.contact_id
        ) as client_id
    from journal.contacts as contacts
    inner join Python(clients) as clients on contacts.record = clients.record

),

client_touches as (

    select
        origins.client as client,
        origins.touch_id as touch_id,
        origins.touched_at as touched_at,
        channels.channel as channel
    from journal.origins as origins
    inner join Python(channels) as channels
        on origins.brand_id = channels.brand_id
        and origins.utm_source = channels.utm_source
        and origins.utm_medium = channels.utm_medium
        and origins.page_source = channels.page_source
        and origins.page_medium = channels.page_medium
        and origins.parameters = channels.parameters
        and origins.host = channels.host

),

counts as (

    select
        client_contacts.contact_id as contact_id,
        count() as touch_count,
        uniqExact(client_touches.channel) as channel_count,
        arraySort(groupArray((client_touches.touched_at, client_touches.touch_id, client_touches.channel))) as steps
    from client_contacts
    inner join client_touches on client_contacts.client = client_touches.client
    where client_touches.touched_at < client_contacts.contacted_at
    group by client_contacts.contact_id

)

select
    client_contacts.contact_id as contact_id,
    client_contacts.client_id as client_id,
    toInt64(ifNull(counts.touch_count, 0)) as touch_count,
    toInt64(ifNull(counts.channel_count, 0)) as channel_count,
    ifNull(counts.channel_count, 0) >= 2 as is_multichannel,
    if(
        touch_count = 0,
        null,
        if(touch_count > 200, '… > ', '') || arrayStringConcat(arrayMap(step -> step.3, arraySlice(counts.steps, -200)), ' > ')
    ) as touch_chain
from client_contacts
left join counts on client_contacts.contact_id = counts.contact_id
