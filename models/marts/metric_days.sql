-- One row per day.
{{ config(materialized='view') }}

with days as (
    select contact_date as metric_date
    from {{ ref('journal') }}
    union all
    select performance_date
    from {{ ref('channel_performance') }}
),

bounds as (
    select
        min(metric_date) as first_day,
        max(metric_date) as last_day
    from days
)

select {{ days_between('first_day', 'last_day') }} as metric_date
from bounds
