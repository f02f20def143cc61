-- One row per chain: of each contact for which touches count, and of whoever did something that has led to no contact.
-- depends_on: {{ ref('int_chain_changes') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_chains(this, ref('int_affected_contacts'), ref('int_affected_identities')) }}") }}

select
    *,
    {{ sum_of_checksums(step_keys('brand_id', 'channels')) }} as steps_checksum,
    {{ checksum(set_key('brand_id', sorted_and_distinct('channels'))) }} as set_checksum
from {{ ref('int_chains_delta') }}
