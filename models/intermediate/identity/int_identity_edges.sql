-- One row per identity edge: an identity of several identifiers, and one of these (R13). The latest record that carries an identity
-- stands for it, as its number is much quicker to read than a key.
with

latest_records as (

    select max(record_number) as record_number
    from {{ ref('int_records') }}
    where identifier_keys is not null
    group by identity_key

),

-- Sorted, as the same identity may come with its identifiers in any order.
identities as (

    select
        record_number,
        {{ in_ascending_order('identifier_keys') }} as identifier_keys
    from {{ ref('int_records') }}
    where record_number in (select record_number from latest_records)

)

select
    record_number,
    {{ rows_of({'identifier_key': 'identifier_keys'}) }},
    {{ smallest_of('identifier_keys') }} as smallest_identifier_key
from identities
