-- R28: events that another source delivered too, and that are left out for that. One row per touch or contact.
select
    kind,
    id,
    delivered_by,
    same_as,
    client_id
from intermediate.int_left_out_events
order by kind, id
