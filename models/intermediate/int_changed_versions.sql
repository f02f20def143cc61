-- One row per version, old or new, of a touch or contact that changed.
with

changed_records as (

    select * from {{ ref('int_changed_records') }}

),

touches as (

    select * from {{ ref('stg_touch_keys') }}

),

contacts as (

    select * from {{ ref('stg_contact_keys') }}

)

select
    'touch' as record_kind,
    touch_key as record_key,
    record_number,
    load_id,
    identity_key,
    identifier_keys
from touches
where touch_key in (select record_key from changed_records where record_kind = 'touch')
union all
select
    'contact' as record_kind,
    contact_key as record_key,
    record_number,
    load_id,
    identity_key,
    identifier_keys
from contacts
where contact_key in (select record_key from changed_records where record_kind = 'contact')
