-- One row per contact of a client, in order: the client's whole history (R21). Multichannel contacts (R4) are green.
{{ config(pre_hook="{{ drop_affected_contacts(this, 'contact_id', ref('int_affected_contacts')) }}") }}

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
order by client_id, contact_number
