-- One row per widget, day and chain (R23), with the number of contacts that the chain led to.
{{ config(materialized='view', tags='static_view') }}

with

journal as (

    select
        *,
        {{ {'as_is': 'touch_chain', 'collapsed': 'collapsed_chain', 'unique': 'unique_chain'}[var('chain_form')] }} as chain,
        {{ {'as_is': 'collapsed_chain', 'collapsed': 'collapsed_chain', 'unique': 'unique_chain'}[var('chain_form')] }} as chain_without_repeats
    from {{ ref('journal') }}
    where touch_count > 0

)

select
    widget_id,
    contact_date,
    chain,
    min(chain_without_repeats) as collapsed_chain,
    min(unique_chain) as unique_chain,
    count(*) as contact_count,
    cast(sum(case when is_multichannel then 1 else 0 end) as bigint) as multichannel_contact_count,
    cast(sum(touch_count) as bigint) as touch_count,
    {{ median_seconds('first_touch_at', 'contacted_at') }} as median_seconds_to_contact
from journal
group by widget_id, contact_date, chain
order by widget_id, contact_date, chain
