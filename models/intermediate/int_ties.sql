-- One row per identity of several identifiers that some record carries, and identifier.
with

touches as (

    select * from {{ ref('int_touch_records') }}

),

contacts as (

    select * from {{ ref('int_contact_records') }}

)

select
    identity_key,
    {{ each_of('identifier_keys') }} as identifier_key
from touches
union
select
    identity_key,
    {{ each_of('identifier_keys') }} as identifier_key
from contacts
