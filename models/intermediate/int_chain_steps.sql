-- One row per brand and step from one channel to the next, how often chains took it: those that led to a contact, and others.
-- Brought up to date by the chains that changed.
{{ config(materialized='table') }}

with

chains as (

    select * from {{ uncounted_chains() }}

),

steps as (

    select
        brand_id,
        {{ each_of(one_after_another(list_of_one('null'), 'channels')) }} as from_channel,
        {{ each_of(one_after_another('channels', list_of_one('null'))) }} as to_channel,
        case when led_to_contact then change else 0 end as contact_count,
        case when led_to_contact then 0 else change end as other_count
    from chains
    union all
    select * from {{ former_counts(this, ['brand_id', 'from_channel', 'to_channel']) }}

)

select
    brand_id,
    from_channel,
    to_channel,
    cast(sum(contact_count) as bigint) as contact_count,
    cast(sum(other_count) as bigint) as other_count
from steps
group by brand_id, from_channel, to_channel
having sum(contact_count) <> 0 or sum(other_count) <> 0
