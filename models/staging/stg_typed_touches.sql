-- One row per version of a touch of somebody who made contact. A version never changes, so it is read and typed once.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_replaced_versions(this) }}") }}

select
    record_number,
    load_id,
    touch_id,
    widget_id,
    brand_id,
    touched_at,
    action_type,
    visitor_id,
    yandex_client_id,
    google_client_id,
    crm_client_id,
    landing_page,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_term,
    utm_content,
    channel_told_by,
    source,
    medium,
    location,
    device_type,
    visited_pages,
    time_on_site,
    visit_duration,
    page_hash,
    delivered_by
from {{ ref('stg_touch_sources') }}
where is_prospect is not true
