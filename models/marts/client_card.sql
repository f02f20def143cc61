-- One row per client.
{{ config(pre_hook="{{ drop_affected_contacts(this, 'first_contact_id') }}") }}

select *
from {{ ref('int_client_card') }}
order by client_id
