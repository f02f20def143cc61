-- One row per contact that this build works out again or that is gone (R3, R27).
with

contacts as (

    select * from {{ source('raw', 'contacts') }}

),

changed_versions as (

    select * from {{ ref('int_changed_versions') }}
    where record_kind = 'contact'

)

select contacts.contact_id
from contacts
where contacts.record_number in (select record_number from changed_versions)
union
select contact_id
from {{ ref('int_contacts') }}
