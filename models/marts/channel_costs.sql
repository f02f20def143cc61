-- One row per day, widget, source, medium, campaign, keyword, content and advertisement with a cost, and the channel of touches that are
-- tagged so (R11, Performance).
{{ config(materialized='view', tags='static_view') }}

with

costs as (

    select * from {{ ref('stg_costs') }}

),

channel_names as (

    select * from {{ ref('int_channel_names') }}

)

select
    costs.cost_date,
    costs.widget_id,
    {{ channel('channel_names.channel_name', 'costs.source', 'costs.medium', 'costs.campaign') }} as channel,
    costs.source,
    costs.medium,
    costs.campaign,
    costs.term,
    costs.content,
    costs.ad_id,
    costs.amount,
    costs.impressions,
    costs.clicks
from costs
left join channel_names
    on costs.source = channel_names.source and costs.medium = channel_names.medium
order by costs.cost_date, channel, costs.campaign, costs.widget_id, costs.source, costs.medium, costs.term, costs.content, costs.ad_id
