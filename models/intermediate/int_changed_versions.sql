-- One row per version, old or new, of a touch or contact that changed.
with

versions as (

    select * from {{ ref('int_record_keys') }}

)

select
    record_kind,
    record_key,
    record_number,
    load_id,
    identity_key,
    identifier_keys
from versions
where record_key in (select record_key from {{ ref('int_changed_records') }})
