-- One row per touch of the affected clients, with its channel (R11) and whether it counts (R12). A table: it is a small part of
-- all touches, and many models read it.
{{ config(materialized='table') }}

with

record_clusters as (

    select
        record_number,
        load_id,
        cluster_key
    from {{ ref('int_record_clusters') }}
    where record_kind = 'touch'

),

touches as (

    select * from {{ ref('int_typed_touches') }}
    where {{ may_be_among(ref('int_typed_touches'), 'record_clusters') }}

),

channel_names as (

    select * from {{ ref('int_channel_names') }}

)

select
    touches.*,
    record_clusters.cluster_key,
    {{ channel('channel_names.channel_name', 'touches.source', 'touches.medium', 'touches.utm_campaign') }} as channel,
    channel_names.rule_order as channel_rule_order,
    {{ is_counted('touches.source', 'touches.medium') }} as is_counted
from touches
inner join record_clusters on touches.record_number = record_clusters.record_number
left join channel_names
    on touches.source = channel_names.source and touches.medium = channel_names.medium
