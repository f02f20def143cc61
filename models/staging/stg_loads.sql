-- One row per live load: an accepted delivery that no later one has replaced.
{{ config(tags='static_view') }}

with

loads as (

    select * from {{ source('raw', 'loads') }}

)

select
    load_id,
    table_name,
    load_day
from loads
where outcome = 'loaded' and superseded_by is null
