-- One row per touch of the affected people who never made contact: as little of it as their chains take, and as R28 does.
{{ config(materialized='table') }}

select
    identifier_group,
    brand_id,
    widget_id,
    touch_id,
    touched_at,
    source,
    medium,
    utm_campaign,
    delivered_by
from {{ ref('stg_touch_sources') }}
where is_prospect
