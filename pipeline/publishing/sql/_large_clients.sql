-- Oversized clients: those with at least `large_client_size` touches and contacts, largest first. One row per client.
select *
from intermediate.int_oversized_clients
order by contact_count + touch_count desc, client_id
