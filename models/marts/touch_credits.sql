-- One row per contact and touch that its history keeps, or one for the contact alone if no touch counts (Attribution). The
-- data-driven models change with every build, so their credits are computed where they are read.
{{ config(materialized='view', tags='static_view') }}

with

touches as (

    select
        touch_credits.*,
        coalesce(removal_effects.removal_effect, 0) as removal_effect,
        coalesce(shapley_values.shapley_value, 0) as shapley_value
    from {{ ref('int_touch_credits') }} as touch_credits
    left join {{ ref('int_removal_effects') }} as removal_effects
        on touch_credits.brand_id = removal_effects.brand_id and touch_credits.channel = removal_effects.channel
    left join {{ ref('int_shapley_values') }} as shapley_values
        on touch_credits.brand_id = shapley_values.brand_id and touch_credits.channel = shapley_values.channel

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
