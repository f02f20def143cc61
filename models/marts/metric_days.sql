-- One row per day.
{{ config(materialized='view') }}

with bounds as (
    select
        min(contact_date) as first_day,
        max(contact_date) as last_day
    from {{ ref('journal') }}
)

select {{ days_between('first_day', 'last_day') }} as metric_date
from bounds
