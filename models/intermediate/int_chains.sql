-- One row per chain: of each contact for which touches count, and of whoever did something that has led to no contact.
-- depends_on: {{ ref('int_chain_changes') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_chains(this) }}") }}

select *
from {{ ref('int_new_chains') }}
