-- One row per identifier that several identities carry (R13), numbered from 0. The numbers mean nothing outside one build.
with

shared_identifiers as (

    select identifier_key
    from {{ ref('int_identity_edges') }}
    group by identifier_key
    having count(*) > 1

)

select
    identifier_key,
    {{ number_of_row('identifier_key') }} as node
from shared_identifiers
