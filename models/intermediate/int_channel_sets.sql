-- One row per brand and set of channels, how many chains are of just these: those that led to a contact, and others.
-- Brought up to date by the chains that changed.
{{ config(materialized='table') }}

with

chains as (

    select * from {{ uncounted_chains() }}

),

channel_sets as (

    select
        brand_id,
        {{ sorted_and_distinct('channels') }} as channels,
        case when led_to_contact then change else 0 end as contact_count,
        case when led_to_contact then 0 else change end as other_count
    from chains
    union all
    select * from {{ former_counts(this, ['brand_id', 'channels']) }}

)

select
    brand_id,
    channels,
    cast(sum(contact_count) as bigint) as contact_count,
    cast(sum(other_count) as bigint) as other_count
from channel_sets
group by brand_id, channels
having sum(contact_count) <> 0 or sum(other_count) <> 0
