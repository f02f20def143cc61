-- One row per touch of affected people who never made contact (R16), with only what their chains (R23) and R28 need: brand (R13),
-- source and medium (R11).
{{ config(materialized='table') }}

with

touches as (

    select * from {{ ref('int_touch_values') }}
    where is_prospect

),

origins as (

    select * from {{ ref('int_origins') }}

),

widgets as (

    select * from {{ ref('widgets') }}

)

select
    touches.cluster_key,
    coalesce(widgets.brand_id, 'default') as brand_id,
    touches.widget_id,
    touches.touch_id,
    touches.touched_at,
    lower(origins.source) as source,
    lower(origins.medium) as medium,
    origins.utm_campaign,
    touches.delivered_by
from touches
left join origins on touches.origin = origins.origin
left join widgets on touches.widget_id = widgets.widget_id
