-- One row per identity of several identifiers that some record carries, and identifier.
with

identities as (

    select
        identity_key,
        identifier_keys
    from {{ ref('int_touch_records') }}
    where identifier_keys is not null
    union
    select
        identity_key,
        identifier_keys
    from {{ ref('int_contact_records') }}
    where identifier_keys is not null

)

select
    identity_key,
    {{ each_of('identifier_keys') }} as identifier_key
from identities
