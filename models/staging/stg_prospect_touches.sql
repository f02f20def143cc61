-- One row per touch of the affected people who never made contact: as little of it as their chains take.
{{ config(materialized='table') }}

select
    identifier_group,
    brand_id,
    touch_id,
    touched_at,
    source,
    medium,
    utm_campaign
from {{ ref('stg_touch_sources') }}
where is_prospect
