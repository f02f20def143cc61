-- One row per brand and channel of any chain, with its Shapley value in trillionths (Attribution). A set of channels is worth the
-- sum, over the sets within it, of the rates at which chains of exactly these channels led to a contact. So the channels of each
-- set share its rate evenly.
{{ config(materialized='table') }}

with

channel_sets as (

    select * from {{ ref('int_channel_sets') }}

),

set_shares as (

    select
        brand_id,
        {{ rows_of({'channel': 'channels'}) }},
        {{ parts_of_share('contact_count', '((contact_count + other_count) * ' ~ length_of('channels') ~ ')') }} as shapley_value
    from channel_sets

)

select
    brand_id,
    channel,
    cast(sum(shapley_value) as decimal(38, 0)) as shapley_value
from set_shares
group by brand_id, channel
