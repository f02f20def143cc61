-- One row per chain that the counts of chains lose (-1) or gain (1): the affected people's chains (R23, Attribution) as they were
-- and as they are.
{{ config(materialized='table') }}

with

previous_chains as (

    select * from {{ previous(source('previous', 'int_chains')) }}

),

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
    from previous_chains
    where contact_id in (select contact_id from affected_contacts)
    union all
    select
        contact_id,
        brand_id,
        channels,
        -1 as change
    from previous_chains
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
    change
from changes
