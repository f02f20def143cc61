-- One row per delivered version of a touch or contact (R3).
{{ config(materialized='view', tags='static_view') }}

select
    'touch' as record_kind,
    {{ row_id() }} as row_id,
    touch_keys.*
from {{ ref('stg_touch_keys') }} as touch_keys
union all
select
    'contact' as record_kind,
    {{ row_id() }} as row_id,
    contact_keys.*
from {{ ref('stg_contact_keys') }} as contact_keys
