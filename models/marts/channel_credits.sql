-- One row per widget, day, channel and model: what the day's contacts (R10) credit to the channel (Attribution).
{{ config(materialized='view', tags='static_view') }}

with

credits as (

    select
        widget_id,
        contact_date,
        channel,
        count(distinct contact_id) as contact_count,
        {{ of_each_model('sum(MODEL) as MODEL') }},
        {{ of_each_model('sum(' ~ credited_value('value', 'MODEL') ~ ') as MODEL_value') }}
    from {{ ref('touch_credits') }}
    group by widget_id, contact_date, channel

),

credits_by_model as (

    {% for model in attribution_model_names() %}
    select
        widget_id,
        contact_date,
        channel,
        '{{ model }}' as model,
        contact_count,
        {{ model }} as credited_contacts,
        {{ model }}_value as credited_value
    from credits
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    widget_id,
    contact_date,
    channel,
    model,
    contact_count,
    cast(credited_contacts as decimal(38, 12)) as credited_contacts,
    cast(coalesce(credited_value, 0) as decimal(38, 14)) as credited_value
from credits_by_model
order by widget_id, contact_date, channel, model
