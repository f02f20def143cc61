-- One row per identity edge: an identity of several identifiers, and one of these (R13), with the latest record that carries it.
with

records as (

    select * from {{ ref('int_records') }}

),

carried_identifiers as (

    select
        identity_key,
        {{ each_of('identifier_keys') }} as identifier_key,
        record_number,
        load_id
    from records

)

select
    identity_key,
    identifier_key,
    max(record_number) as record_number,
    max(load_id) as load_id
from carried_identifiers
group by identity_key, identifier_key
