-- One row: the last loaded day (R9). Nothing after it counts.
{{ config(materialized='view', tags='static_view') }}
with

loads as (

    select * from {{ ref('stg_loads') }}

)

select {{ last_loaded_day() }} as data_through
from loads
