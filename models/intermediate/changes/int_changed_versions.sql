-- One row per version, old or new, of a touch or contact that changed.
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

-- Found by as little as can be, of very many rows, and by where they lie; the rest is then read for these few.
rows_of_changed_prefixes as (

    select row_id
    from {{ ref('int_record_keys') }}
    where record_key_prefix in (select record_key_prefix from changed_prefixes)
        and load_id not in (select load_id from changed_loads)

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
from {{ ref('int_record_keys') }}
where row_id in (select row_id from rows_of_changed_prefixes)
    and record_key in (select record_key from changed_records)
    and load_id not in (select load_id from changed_loads)
