-- One row per contact, channel, source, medium and campaign that took part in it, and how (R24). Where a history is cut, a
-- channel has one more row, without these three, for the part that it took by touches that aren't kept.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_contacts(this, 'contact_id', ref('int_affected_contacts')) }}") }}

with

journal as (

    select * from {{ ref('int_journal') }}

),

contact_touches as (

    select * from {{ ref('int_contact_touches') }}

),

touches as (

    select * from {{ ref('int_touches') }}

),

contact_channels as (

    select * from {{ ref('int_contact_channels') }}

),

kept_parts as (

    select
        contact_touches.contact_id,
        touches.channel,
        touches.source,
        touches.medium,
        touches.utm_campaign as campaign,
        max(case when contact_touches.touch_rank = 1 then 1 else 0 end) as is_opening,
        max(case when contact_touches.touch_rank > 1 and contact_touches.touch_rank < journal.touch_count then 1 else 0 end) as is_assisting,
        max(case when contact_touches.touch_rank = journal.touch_count then 1 else 0 end) as is_closing
    from contact_touches
    inner join journal on contact_touches.contact_id = journal.contact_id
    inner join touches on contact_touches.touch_id = touches.touch_id
    group by contact_touches.contact_id, touches.channel, touches.source, touches.medium, touches.utm_campaign

),

kept_channels as (

    select
        contact_id,
        channel,
        max(is_opening) = 1 as is_opening,
        max(is_assisting) = 1 as is_assisting
    from kept_parts
    group by contact_id, channel

),

parts as (

    select
        contact_id,
        channel,
        source,
        medium,
        campaign,
        is_opening = 1 as is_opening,
        is_assisting = 1 as is_assisting,
        is_closing = 1 as is_closing
    from kept_parts
    union all
    select
        contact_channels.contact_id,
        contact_channels.channel,
        null as source,
        null as medium,
        null as campaign,
        contact_channels.is_opening and kept_channels.is_opening is not true as is_opening,
        contact_channels.is_assisting and kept_channels.is_assisting is not true as is_assisting,
        false as is_closing
    from contact_channels
    left join kept_channels
        on contact_channels.contact_id = kept_channels.contact_id and contact_channels.channel = kept_channels.channel
    where (contact_channels.is_opening and kept_channels.is_opening is not true)
        or (contact_channels.is_assisting and kept_channels.is_assisting is not true)

)

select
    parts.contact_id,
    journal.contact_date,
    journal.widget_id,
    parts.channel,
    parts.source,
    parts.medium,
    parts.campaign,
    journal.is_multichannel,
    journal.channel_count = 1 as is_alone,
    parts.is_opening,
    parts.is_assisting,
    parts.is_closing
from parts
inner join journal on parts.contact_id = journal.contact_id
