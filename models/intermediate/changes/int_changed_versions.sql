-- One row per version, old or new, of a changed touch or contact (R3, R27). Empty in a full build.
with

changed_loads as (

    select load_id from {{ ref('stg_changed_loads') }}

),

changed_records as (

    select record_key from {{ ref('int_changed_records') }}

),

changed_prefixes as (

    select distinct {{ hash_prefix('record_key') }} as record_key_prefix
    from changed_records

),

-- Among very many rows, short prefixes find the few that may match. Only these are read in full, by row id.
rows_of_changed_prefixes as (

    select row_id
    from {{ ref('int_record_keys') }} as keys
    where record_key_prefix in (select record_key_prefix from changed_prefixes)
        and not exists (
            select 1 from changed_loads
            where changed_loads.load_id = keys.load_id
        )

)

select
    record_kind,
    record_key,
    record_number,
    load_id,
    record_date,
    identity_key,
    identifier_keys
from {{ ref('int_record_keys') }}
where load_id in (select load_id from changed_loads)
union all
select
    record_kind,
    record_key,
    record_number,
    load_id,
    record_date,
    identity_key,
    identifier_keys
from {{ ref('int_record_keys') }} as keys
where row_id in (select row_id from rows_of_changed_prefixes)
    and record_key in (select record_key from changed_records)
    and not exists (
        select 1 from changed_loads
        where changed_loads.load_id = keys.load_id
    )
