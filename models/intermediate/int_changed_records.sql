-- One row per touch or contact that changed since the last publication: delivered, replaced, removed, or its day has come (R9).
with

versions as (

    select * from {{ ref('int_record_keys') }}

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
    record_kind,
    record_key
from versions
where load_id in (select load_id from changed_loads)
union
select
    record_kind,
    record_key
from versions
where record_date > (select after_day from days_that_have_come)
    and record_date <= (select last_day from days_that_have_come)
