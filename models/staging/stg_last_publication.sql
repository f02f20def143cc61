-- One row: what the last published build knew (R27). Nulls before the first publication.
{{ config(materialized='view', tags='static_view') }}

with

builds as (

    select * from {{ source('raw', 'builds') }}

)

select
    max(last_load_id) as last_load_id,
    max(data_through) as data_through
from builds
where published_at is not null
