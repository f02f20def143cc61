-- One row per load that was accepted or replaced since the last publication (R27). Empty in a full build.
{{ config(materialized='table') }}

with

loads as (

    select * from {{ source('raw', 'loads') }}

),

last_publication as (

    select coalesce(last_load_id, 0) as last_load_id
    from {{ ref('stg_last_publication') }}

)

select loads.load_id
from loads
cross join last_publication
where loads.outcome = 'loaded'
    and (loads.load_id > last_publication.last_load_id or loads.superseded_by > last_publication.last_load_id)
    and not {{ is_full_build() }}
