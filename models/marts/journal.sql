-- One row per contact.
{{ config(pre_hook="{{ drop_affected_contacts(this, 'contact_id') }}") }}

select *
from {{ ref('int_journal') }}
order by widget_id, contacted_at, contact_id
