-- Counting as anybody would write it: join every contact with the earlier touches of its client, and number them.
create table intermediate.pairs as
select
    contacts.contact_id,
    touches.touch_id,
    touches.channel,
    row_number() over (partition by contacts.contact_id order by touches.touched_at, touches.touch_id) as touch_rank,
    count(*) over (partition by contacts.contact_id) as touch_count
from intermediate.int_contact_clients as contacts
inner join intermediate.int_touches as touches
    on contacts.cluster_key = touches.cluster_key
    and contacts.contacted_at > touches.touched_at;
