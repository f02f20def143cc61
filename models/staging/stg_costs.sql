-- One row per day, source, medium, campaign, widget, keyword, content and advertisement with a cost (Deliveries, R11), up to the last
-- loaded day (R9). The first five identify a cost. Only rows of the latest load day that holds it count, however they divide it.
{{ config(tags=([] if target.type == 'spark' else ['static_view'])) }}

with

loads as (

    select * from {{ ref('stg_loads') }}
    where table_name = 'costs'

),

data_through as (

    select * from {{ ref('stg_data_through') }}

),

delivered_costs as (

    select * from {{ source('raw', 'costs') }}

),

costs as (

    select
        loads.load_day,
        {{ date('delivered_costs.cost_date') }} as cost_date,
        {{ lower_case(one_form('delivered_costs.source')) }} as source,
        {{ lower_case(one_form('delivered_costs.medium')) }} as medium,
        {{ one_form('delivered_costs.campaign') }} as campaign,
        delivered_costs.widget_id,
        {{ one_form('delivered_costs.term') }} as term,
        {{ one_form('delivered_costs.content') }} as content,
        delivered_costs.ad_id,
        {{ money('delivered_costs.amount') }} as amount,
        {{ whole_number('delivered_costs.impressions') }} as impressions,
        {{ whole_number('delivered_costs.clicks') }} as clicks
    from delivered_costs
    inner join loads on delivered_costs.load_id = loads.load_id

),

summed_costs as (

    select
        load_day,
        cost_date,
        source,
        medium,
        campaign,
        widget_id,
        term,
        content,
        ad_id,
        cast(sum(amount) as decimal(38, 2)) as amount,
        {{ whole_sum('impressions') }} as impressions,
        {{ whole_sum('clicks') }} as clicks
    from costs
    group by load_day, cost_date, source, medium, campaign, widget_id, term, content, ad_id

),

versions as (

    select
        *,
        rank() over (
            partition by cost_date, source, medium, campaign, widget_id
            order by load_day desc
        ) as version_rank
    from summed_costs

)

select
    versions.cost_date,
    versions.source,
    versions.medium,
    versions.campaign,
    versions.widget_id,
    versions.term,
    versions.content,
    versions.ad_id,
    versions.amount,
    versions.impressions,
    versions.clicks
from versions
inner join data_through on versions.cost_date <= data_through.data_through
where versions.version_rank = 1
