-- One row per contact and touch that its history keeps, or the contact alone if no touch counts for it, with what each touch
-- earned by the models that look at nothing but the contact.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_contacts(this, 'contact_id') }}") }}

select *
from {{ ref('int_new_touch_credits') }}
