create table intermediate.counts as
with

clients as (

    select
        cluster_key,
        count(*) as touch_count
    from intermediate.int_touches
    group by cluster_key

),

contacts as (

    select
        contact_id,
        count(*) as touch_count
    from intermediate.pairs
    group by contact_id

)

select
    contact_clients.contact_id,
    coalesce(contacts.touch_count, 0) as touch_count,
    coalesce(clients.touch_count, 0) - coalesce(contacts.touch_count, 0) as later_touch_count
from intermediate.int_contact_clients as contact_clients
left join contacts on contact_clients.contact_id = contacts.contact_id
left join clients on contact_clients.cluster_key = clients.cluster_key;
