-- One row per multichannel contact and touch that counts for it.
{{ config(pre_hook="{{ drop_affected_contacts(this, 'contact_id') }}") }}

select *
from {{ ref('int_interaction_history') }}
