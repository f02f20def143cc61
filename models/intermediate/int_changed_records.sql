-- One row per touch or contact that changed since the last publication: delivered, replaced, removed, or its day has come (R9).
with

touches as (

    select * from {{ ref('stg_touch_keys') }}

),

contacts as (

    select * from {{ ref('stg_contact_keys') }}

),

changed_loads as (

    select load_id from {{ ref('int_changed_loads') }}

),

days_that_have_come as (

    select
        last_publication.data_through as after_day,
        data_through.data_through as last_day
    from {{ ref('int_last_publication') }} as last_publication
    cross join {{ ref('int_data_through') }} as data_through
    where not {{ is_full_build() }}

)

select
    'touch' as record_kind,
    touch_key as record_key
from touches
where load_id in (select load_id from changed_loads)
union
select
    'contact' as record_kind,
    contact_key as record_key
from contacts
where load_id in (select load_id from changed_loads)
union
select
    'touch' as record_kind,
    touches.touch_key as record_key
from touches
inner join days_that_have_come
    on touches.touch_date > days_that_have_come.after_day
    and touches.touch_date <= days_that_have_come.last_day
union
select
    'contact' as record_kind,
    contacts.contact_key as record_key
from contacts
inner join days_that_have_come
    on contacts.contact_date > days_that_have_come.after_day
    and contacts.contact_date <= days_that_have_come.last_day
