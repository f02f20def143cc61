-- One row per version of a touch of somebody who made contact (R16), with its values read (R25), its brand (R13), its tags, source
-- and medium (R11, steps 1 to 3), and the identifiers that tie it (R13, R15). A version never changes, so it is typed once.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ drop_replaced_versions(this, source('raw', 'loads'), ref('stg_last_publication')) }}",
) }}

with

touch_values as (

    select * from {{ ref('int_touch_values') }}
    where is_prospect is not true

),

touches as (

    select * from {{ source('raw', 'touches') }}
    where {{ stored_row_id(source('raw', 'touches')) }} in (select row_id from touch_values)

),

ignored as (

    {{ lists_of_ignored(ref('placeholders'), ref('stg_ignored_identifiers')) }}

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
    touch_values.touched_at,
    case when {{ word('touches.action_type') }} = 'click' then 'click' else 'visit' end as action_type,
    {{ identifying('visitor_id', 'touches.visitor_id', 'ignored') }} as visitor_id,
    {{ identifying('yandex_client_id', 'touches.yandex_client_id', 'ignored') }} as yandex_client_id,
    {{ identifying('google_client_id', 'touches.google_client_id', 'ignored') }} as google_client_id,
    {{ identifying('crm_client_id', 'touches.crm_client_id', 'ignored') }} as crm_client_id,
    touches.landing_page,
    origins.utm_source,
    origins.utm_medium,
    origins.utm_campaign,
    origins.utm_term,
    origins.utm_content,
    origins.channel_told_by,
    {{ lower_case('origins.source') }} as source,
    {{ lower_case('origins.medium') }} as medium,
    touches.location,
    touches.device_type,
    {{ without_empty(text_list('touches.visited_pages')) }} as visited_pages,
    {{ seconds('touches.time_on_site') }} as time_on_site,
    {{ seconds('touches.visit_duration') }} as visit_duration,
    touches.page_hash,
    touches.delivered_by
from touches
inner join touch_values on touches.record_number = touch_values.record_number
left join origins on touch_values.origin = origins.origin
left join widgets on touches.widget_id = widgets.widget_id
cross join ignored
