-- One row per contact: the journal (R22).
{{ config(pre_hook="{{ drop_affected_contacts(this, 'contact_id', ref('int_affected_contacts')) }}") }}

select *
from {{ ref('int_journal') }}
order by widget_id, contacted_at, contact_id
