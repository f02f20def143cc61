-- One row per day (R10), without gaps, from the first contact or cost to the last.
{{ config(materialized='view', tags='static_view') }}

with

days as (

    select contact_date as metric_date
    from {{ ref('journal') }}
    union all
    select cost_date as metric_date
    from {{ ref('channel_costs') }}

),

bounds as (

    select
        min(metric_date) as first_day,
        max(metric_date) as last_day
    from days

)

select {{ rows_of({'metric_date': days_from('first_day', 'last_day')}) }}
from bounds
