-- One row per identity of several identifiers that some record carries, and identifier.
with

records as (

    select * from {{ ref('int_records') }}

)

select distinct
    identity_key,
    {{ each_of('identifier_keys') }} as identifier_key
from records
