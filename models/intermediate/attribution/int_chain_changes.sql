-- One row per brand, chain and outcome whose count changed (R23, Attribution): the affected people's chains as they were and as they
-- are. Very many are alike.
{{ config(materialized='table') }}

with

affected_contacts as (

    select * from {{ ref('int_affected_contacts') }}

),

affected_identities as (

    select * from {{ ref('int_affected_identities') }}

),

chains as (

    select * from {{ ref('int_chains_delta') }}

),

changes as (

    select
        contact_id,
        brand_id,
        channels,
        -1 as change
    from {{ previous(source('previous', 'int_chains')) }} as previous_chains
    where contact_id in (select contact_id from affected_contacts)
    union all
    select
        contact_id,
        brand_id,
        channels,
        -1 as change
    from {{ previous(source('previous', 'int_chains')) }} as previous_chains
    where cluster_key in (select identity_key from affected_identities)
    union all
    select
        contact_id,
        brand_id,
        channels,
        1 as change
    from chains

)

select
    contact_id is not null as led_to_contact,
    brand_id,
    channels,
    cast(sum(change) as bigint) as change
from changes
group by contact_id is not null, brand_id, channels
having sum(changes.change) <> 0
