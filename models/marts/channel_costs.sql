-- One row per day, widget, source, medium and campaign for which something was spent.
{{ config(materialized='view') }}

select *
from {{ ref('int_channel_costs') }}
order by cost_date, channel, campaign, widget_id, source, medium
