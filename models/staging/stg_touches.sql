-- One row per touch, with its channel.
with

touches as (

    select * from {{ ref('stg_touch_sources') }}

),

channel_names as (

    select * from {{ ref('stg_channel_names') }}

)

select
    touches.*,
    {{ channel('channel_names.channel_name', 'touches.source', 'touches.medium', 'touches.utm_campaign') }} as channel,
    {{ is_counted('touches.source', 'touches.medium') }} as is_counted
from touches
left join channel_names
    on touches.source = channel_names.source and touches.medium = channel_names.medium
