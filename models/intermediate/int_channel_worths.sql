-- One row per brand and channel that is in some chain, with what it is worth by the data-driven models, in parts of a trillion.
{{ config(materialized='table') }}

with

channel_sets as (

    select * from {{ ref('int_channel_sets') }}

),

-- Shapley's value of a channel, where a coalition of channels is worth the sum, over the sets of channels within it, of the
-- rates at which chains of just these channels led to a contact: each rate is shared evenly by the channels of its set.
set_shares as (

    select
        brand_id,
        {{ each_of('channels') }} as channel,
        {{ parts_of_share('contact_count', '((contact_count + other_count) * ' ~ length_of('channels') ~ ')') }} as worth
    from channel_sets

),

shapley_worths as (

    select
        brand_id,
        channel,
        cast(sum(worth) as decimal(38, 0)) as worth
    from set_shares
    group by brand_id, channel

)

select
    shapley_worths.brand_id,
    shapley_worths.channel,
    markov_worths.worth as markov_worth,
    shapley_worths.worth as shapley_worth
from shapley_worths
left join {{ ref('int_markov_worths') }} as markov_worths
    on shapley_worths.brand_id = markov_worths.brand_id and shapley_worths.channel = markov_worths.channel
