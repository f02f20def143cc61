-- One row per brand and channel that is in some chain.
{{ config(materialized='view', tags='lasting') }}

select
    brand_id,
    channel,
    {{ as_share('markov_worth') }} as markov,
    {{ as_share('shapley_worth', digits=38) }} as shapley
from {{ ref('int_channel_worths') }}
order by brand_id, channel
