-- One row per path and position on it, with the touch's credit by the models that look at channels' values (Attribution). A path is a
-- brand's sequence of channels. Very many contacts came by the same, and so earn the same credits.
{{ config(materialized='table') }}

with

steps as (

    select
        path_key,
        touch_position,
        min(kept_touch_count) as kept_touch_count,
        min(brand_id) as brand_id,
        min(channel) as channel
    from {{ ref('int_touch_credits') }}
    where path_key is not null
    group by path_key, touch_position

),

valued_steps as (

    select
        steps.*,
        coalesce(removal_effects.removal_effect, 0) as removal_effect,
        coalesce(shapley_values.shapley_value, 0) as shapley_value
    from steps
    left join {{ ref('int_removal_effects') }} as removal_effects
        on steps.brand_id = removal_effects.brand_id and steps.channel = removal_effects.channel
    left join {{ ref('int_shapley_values') }} as shapley_values
        on steps.brand_id = shapley_values.brand_id and steps.channel = shapley_values.channel

),

credited as (

    {{ with_credits('valued_steps', attribution_model_names(is_data_driven=true), history='path_key') }}

)

select
    path_key,
    touch_position,
    {{ attribution_model_names(is_data_driven=true) | join(',\n    ') }}
from credited
