-- One row per contact of a client, in order.
{{ config(pre_hook="{{ drop_affected_contacts(this, 'contact_id') }}") }}

select *
from {{ ref('int_client_history') }}
order by client_id, contact_number
