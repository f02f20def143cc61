-- One row per touch of affected people who never made contact (R16), with only what their chains (R23) and R28 need: brand (R13),
-- source, medium and channel (R11), and whether it counts (R12).
{{ config(materialized='view', tags='static_view') }}

with

touches as (

    select * from {{ ref('int_touch_values') }}
    where is_prospect

),

origins as (

    select
        origin,
        {{ lower_case('source') }} as source,
        {{ lower_case('medium') }} as medium,
        utm_campaign
    from {{ ref('int_origins') }}

),

channel_names as (

    select * from {{ ref('int_channel_names') }}

),

-- Very many touches share few origins.
origins_with_channels as (

    select
        origins.origin,
        origins.source,
        origins.medium,
        {{ channel('channel_names.channel_name', 'origins.source', 'origins.medium', 'origins.utm_campaign') }} as channel,
        {{ is_counted('origins.source', 'origins.medium') }} as is_counted
    from origins
    left join channel_names
        on origins.source = channel_names.source and origins.medium = channel_names.medium

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
    origins_with_channels.source,
    origins_with_channels.medium,
    origins_with_channels.channel,
    origins_with_channels.is_counted,
    touches.delivered_by
from touches
left join origins_with_channels on touches.origin = origins_with_channels.origin
left join widgets on touches.widget_id = widgets.widget_id
