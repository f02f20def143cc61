-- One row per contact and touch that its history keeps, or the contact alone if no touch counts for it.
-- What channels are worth changes with every build, and so does what touches earn by it: worked out where it is read.
{{ config(materialized='view', tags='lasting') }}

with

touches as (

    select
        touch_credits.*,
        coalesce(channel_worths.markov_worth, 0) as markov_worth,
        coalesce(channel_worths.shapley_worth, 0) as shapley_worth
    from {{ ref('int_touch_credits') }} as touch_credits
    left join {{ ref('int_channel_worths') }} as channel_worths
        on touch_credits.brand_id = channel_worths.brand_id and touch_credits.channel = channel_worths.channel

),

credited as (

    {{ with_credits('touches', attribution_model_names(is_data_driven=true)) }}

)

select
    contact_id,
    contact_date,
    contact_type,
    widget_id,
    brand_id,
    is_multichannel,
    value,
    touch_rank,
    touch_id,
    touched_at,
    channel,
    source,
    medium,
    campaign,
    utm_term,
    channel_told_by,
    channel_rule_order,
    {{ attribution_model_names() | join(',\n    ') }}
from credited
