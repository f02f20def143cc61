-- One row per delivered version of a touch or contact.
{{ config(materialized='view', tags='lasting') }}

select
    'touch' as record_kind,
    {{ place() }} as place,
    touch_keys.*
from {{ ref('stg_touch_keys') }} as touch_keys
union all
select
    'contact' as record_kind,
    {{ place() }} as place,
    contact_keys.*
from {{ ref('stg_contact_keys') }} as contact_keys
