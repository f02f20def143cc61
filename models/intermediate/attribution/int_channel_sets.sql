-- One row per brand and set of channels, with the number of chains to a contact, and of others, of exactly these channels
-- (Attribution). Starts from the previous build's counts and applies the chains that changed. Shapley values are computed from
-- it.
{{ config(materialized='table') }}

{%- set is_counted = is_counted_before(source('raw', 'builds')) %}

with

chains as (

    {{ uncounted_chains(ref('int_chains'), ref('int_chain_changes'), is_counted) }}

),

previous_sets as (

    select * from {{ previous(source('previous', 'int_channel_sets')) }}
    where {{ is_counted }}

),

channel_sets as (

    select
        brand_id,
        {{ sorted_and_distinct('channels') }} as channels,
        case when led_to_contact then change else 0 end as contact_count,
        case when led_to_contact then 0 else change end as other_count
    from chains
    union all
    select
        brand_id,
        channels,
        contact_count,
        other_count
    from previous_sets

)

select
    brand_id,
    channels,
    cast(sum(contact_count) as bigint) as contact_count,
    cast(sum(other_count) as bigint) as other_count
from channel_sets
group by brand_id, channels
having sum(channel_sets.contact_count) <> 0 or sum(channel_sets.other_count) <> 0
