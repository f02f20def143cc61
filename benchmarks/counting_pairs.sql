-- Counting as anybody would write it: join every contact with the earlier touches of its client.
with

counts as (

    select
        contacts.contact_id,
        count(*) as touch_count,
        count(distinct touches.channel) as channel_count
    from intermediate.int_contact_clients as contacts
    inner join intermediate.int_touches as touches
        on contacts.cluster_key = touches.cluster_key
        and contacts.contacted_at > touches.touched_at
    group by contacts.contact_id

)

select
    contacts.contact_id,
    coalesce(counts.touch_count, 0) as touch_count,
    coalesce(counts.channel_count, 0) as channel_count
from intermediate.int_contact_clients as contacts
left join counts on contacts.contact_id = counts.contact_id
