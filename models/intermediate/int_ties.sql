-- One row per identity of several identifiers that some record carries, and identifier, with the latest load of such a record.
with

records as (

    select * from {{ ref('int_records') }}

),

carried_identifiers as (

    select
        identity_key,
        {{ each_of('identifier_keys') }} as identifier_key,
        load_id
    from records

)

select
    identity_key,
    identifier_key,
    max(load_id) as load_id
from carried_identifiers
group by identity_key, identifier_key
