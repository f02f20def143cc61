-- One row per version of a touch of somebody who made contact (R16), with its brand (R13), tags, source and medium (R11, steps 1
-- to 3). A version never changes, so it is read and typed once.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ drop_replaced_versions(this, source('raw', 'loads'), ref('stg_last_publication')) }}",
) }}

with

touches as (

    select * from {{ ref('int_touch_values') }}
    where is_prospect is not true

),

origins as (

    select * from {{ ref('int_origins') }}

),

widgets as (

    select * from {{ ref('widgets') }}

)

select
    touches.record_number,
    touches.load_id,
    touches.touch_id,
    touches.widget_id,
    coalesce(widgets.brand_id, 'default') as brand_id,
    touches.touched_at,
    touches.action_type,
    touches.visitor_id,
    touches.yandex_client_id,
    touches.google_client_id,
    touches.crm_client_id,
    touches.landing_page,
    origins.utm_source,
    origins.utm_medium,
    origins.utm_campaign,
    origins.utm_term,
    origins.utm_content,
    origins.channel_told_by,
    lower(origins.source) as source,
    lower(origins.medium) as medium,
    touches.location,
    touches.device_type,
    touches.visited_pages,
    touches.time_on_site,
    touches.visit_duration,
    touches.page_hash,
    touches.delivered_by
from touches
left join origins on touches.origin = origins.origin
left join widgets on touches.widget_id = widgets.widget_id
