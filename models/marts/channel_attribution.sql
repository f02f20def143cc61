-- One row per contact, touch and model (Attribution): `touch_credits`, model by model. Published as a view, as it is eight times
-- as long.
{{ config(materialized='view', tags='static_view') }}

{% for model in attribution_model_names() %}
select
    contact_id,
    contact_date,
    contact_type,
    widget_id,
    brand_id,
    is_multichannel,
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
    '{{ model }}' as model,
    {{ model }} as credit,
    {{ credited_value('value', model) }} as credited_value
from {{ ref('touch_credits') }}
{{ 'union all' if not loop.last }}
{% endfor %}
