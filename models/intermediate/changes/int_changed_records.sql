-- One row per touch or contact that changed since the last publication (R27): it was delivered, replaced or removed (R3), or its
-- day has come (R9). Empty in a full build.
with

changed_loads as (

    select load_id from {{ ref('stg_changed_loads') }}

),

days_that_have_come as (

    select {{ rows_of({'record_date': days_from('last_publication.data_through + 1', 'data_through.data_through')}) }}
    from {{ ref('stg_last_publication') }} as last_publication
    cross join {{ ref('stg_data_through') }} as data_through
    where not {{ is_full_build() }}

)

select
    record_kind,
    record_key
from {{ ref('int_record_keys') }}
where load_id in (select load_id from changed_loads)
union
select
    record_kind,
    record_key
from {{ ref('int_record_keys') }}
where record_date in (select record_date from days_that_have_come)
