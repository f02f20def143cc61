-- One row per chain (R23, Attribution): one for each contact with counted touches, and one for each person whose touches have led
-- to no contact.
-- depends_on: {{ ref('int_chain_changes') }}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_chains(this, ref('int_affected_contacts'), ref('int_affected_identities')) }}") }}

with

-- Very many chains are alike.
distinct_chains as (

    select
        brand_id,
        channels
    from {{ ref('int_chains_delta') }} as chains
    group by brand_id, channels

),

checksums as (

    select
        *,
        {{ checksum_of_steps('brand_id', 'channels') }} as steps_checksum,
        {{ checksum(set_key('brand_id', sorted_and_distinct('channels'))) }} as set_checksum
    from distinct_chains

)

select
    chains.*,
    checksums.steps_checksum,
    checksums.set_checksum
from {{ ref('int_chains_delta') }} as chains
inner join checksums on chains.brand_id = checksums.brand_id and chains.channels = checksums.channels
