-- One row per brand and channel of any chain, with its value by each data-driven model (Attribution).
{{ config(materialized='view', tags='static_view') }}

with

shapley_values as (

    select * from {{ ref('int_shapley_values') }}

),

removal_effects as (

    select * from {{ ref('int_removal_effects') }}

)

select
    shapley_values.brand_id,
    shapley_values.channel,
    {{ as_share('removal_effects.removal_effect') }} as markov,
    {{ as_share('shapley_values.shapley_value', digits=38) }} as shapley
from shapley_values
left join removal_effects
    on shapley_values.brand_id = removal_effects.brand_id and shapley_values.channel = removal_effects.channel
order by shapley_values.brand_id, shapley_values.channel
