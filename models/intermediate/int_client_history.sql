-- One row per contact of the affected clients, in order.
with

journal as (

    select * from {{ ref('int_journal') }}

)

select
    client_id,
    contact_number,
    contact_id,
    contact_type,
    contacted_at,
    location,
    widget_id,
    touch_count,
    is_multichannel,
    case when is_multichannel then 'green' end as highlight
from journal
