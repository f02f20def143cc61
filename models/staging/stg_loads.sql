-- One row per live load: an accepted delivery (R26) that no later one has replaced (R3).
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
