-- One row per identity of several identifiers that some record carries, and identifier, with the latest such record.
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
