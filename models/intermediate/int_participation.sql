-- One row per contact, channel, source, medium and campaign that took part in it, and how (R24).
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_contacts(this, 'contact_id') }}") }}

select *
from {{ ref('int_new_participation') }}
