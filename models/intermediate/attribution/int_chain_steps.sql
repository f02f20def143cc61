-- One row per brand and step from one channel to the next, with how often chains to a contact, and others, took it (Attribution).
-- Starts from the previous build's counts and applies the chains that changed. Removal effects are computed from it.
{{ config(materialized='table') }}

{%- set is_counted = is_counted_before(source('raw', 'builds')) %}

with

chains as (

    {{ uncounted_chains(ref('int_chains'), ref('int_chain_changes'), is_counted) }}

),

previous_steps as (

    select * from {{ previous(source('previous', 'int_chain_steps')) }}
    where {{ is_counted }}

),

steps as (

    select
        brand_id,
        {{ rows_of({'from_channel': from_channels('channels'), 'to_channel': to_channels('channels')}) }},
        case when led_to_contact then change else 0 end as contact_count,
        case when led_to_contact then 0 else change end as other_count
    from chains
    union all
    select
        brand_id,
        from_channel,
        to_channel,
        contact_count,
        other_count
    from previous_steps

)

select
    brand_id,
    from_channel,
    to_channel,
    cast(sum(contact_count) as bigint) as contact_count,
    cast(sum(other_count) as bigint) as other_count
from steps
group by brand_id, from_channel, to_channel
having sum(steps.contact_count) <> 0 or sum(steps.other_count) <> 0
