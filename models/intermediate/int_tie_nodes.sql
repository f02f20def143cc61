-- One row per tied identifier, with a number from 0 on that means nothing beyond one build.
with

identifiers as (

    select distinct identifier_key
    from {{ ref('int_ties') }}

)

select
    identifier_key,
    row_number() over (order by identifier_key) - 1 as node
from identifiers
