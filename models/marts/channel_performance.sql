-- One row per day, channel, campaign and model: what was spent that day, beside what that day's contacts (R10) earned
-- (Performance).
{{ config(materialized='view', tags='static_view') }}

with

credits as (

    select
        contact_date as performance_date,
        channel,
        campaign,
        count(distinct contact_id) as contact_count,
        count(distinct case when is_multichannel then contact_id end) as multichannel_contact_count,
        {{ of_each_model('sum(MODEL) as MODEL') }},
        {{ of_each_model('sum(' ~ credited_value('value', 'MODEL') ~ ') as MODEL_value') }}
    from {{ ref('touch_credits') }}
    group by contact_date, channel, campaign

),

costs as (

    select
        cost_date as performance_date,
        channel,
        campaign,
        cast(sum(amount) as decimal(38, 2)) as spend,
        {{ whole_sum('impressions') }} as impressions,
        {{ whole_sum('clicks') }} as clicks
    from {{ ref('channel_costs') }}
    group by cost_date, channel, campaign

),

-- Spend without contacts stays, and so do contacts without spend. A full join would do the same, but DuckDB filters it by day only after
-- joining all days. It filters both sides of a union.
credits_and_costs as (

    select
        performance_date,
        channel,
        campaign,
        null as spend,
        null as impressions,
        null as clicks,
        contact_count,
        multichannel_contact_count,
        {{ of_each_model('MODEL') }},
        {{ of_each_model('MODEL_value') }}
    from credits
    union all
    select
        performance_date,
        channel,
        campaign,
        spend,
        impressions,
        clicks,
        null as contact_count,
        null as multichannel_contact_count,
        {{ of_each_model('null as MODEL') }},
        {{ of_each_model('null as MODEL_value') }}
    from costs

),

days as (

    select
        performance_date,
        channel,
        campaign,
        max(spend) as spend,
        max(impressions) as impressions,
        max(clicks) as clicks,
        max(contact_count) as contact_count,
        max(multichannel_contact_count) as multichannel_contact_count,
        {{ of_each_model('max(MODEL) as MODEL') }},
        {{ of_each_model('max(MODEL_value) as MODEL_value') }}
    from credits_and_costs
    group by performance_date, channel, campaign

),

days_by_model as (

    {% for model in attribution_model_names() %}
    select
        performance_date,
        channel,
        campaign,
        '{{ model }}' as model,
        spend,
        impressions,
        clicks,
        contact_count,
        multichannel_contact_count,
        {{ model }} as credited_contacts,
        {{ model }}_value as credited_value
    from days
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    performance_date,
    channel,
    campaign,
    model,
    case
        when contact_count is null then 'spend_only'
        when spend is null then 'contacts_only'
        else 'matched'
    end as match,
    cast(coalesce(spend, 0) as decimal(38, 2)) as spend,
    impressions,
    clicks,
    coalesce(contact_count, 0) as contact_count,
    coalesce(multichannel_contact_count, 0) as multichannel_contact_count,
    cast(coalesce(credited_contacts, 0) as decimal(38, 12)) as credited_contacts,
    cast(coalesce(credited_value, 0) as decimal(38, 14)) as credited_value,
    {{ ratio('nullif(spend, 0)', 'credited_contacts') }} as cost_per_contact,
    {{ ratio('coalesce(credited_value, 0)', 'spend') }} as return_on_spend
from days_by_model
order by performance_date, channel, campaign, model
