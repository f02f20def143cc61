-- One row per multichannel contact (R4) and counted touch, in order of rank (R5): the interaction history (R7, R20).
{{ config(pre_hook="{{ drop_affected_contacts(this, 'contact_id', ref('int_affected_contacts')) }}") }}

with

journal as (

    select * from {{ ref('int_journal') }}
    where is_multichannel

),

contact_touches as (

    select * from {{ ref('int_contact_touches') }}

),

touches as (

    select * from {{ ref('int_touches') }}

)

select
    journal.contact_id,
    contact_touches.touch_rank,
    touches.touch_id,
    journal.client_id,
    touches.touched_at,
    touches.action_type,
    touches.location,
    touches.utm_source,
    touches.utm_medium,
    touches.utm_campaign,
    touches.utm_term,
    touches.utm_content,
    touches.source,
    touches.medium,
    touches.channel,
    touches.landing_page,
    touches.device_type,
    touches.visited_pages,
    touches.time_on_site,
    touches.visit_duration,
    touches.page_hash,
    journal.is_unique,
    journal.final_group,
    journal.call_page,
    journal.phone,
    touches.channel_told_by,
    touches.channel_rule_order
from journal
inner join contact_touches on journal.contact_id = contact_touches.contact_id
inner join touches on contact_touches.touch_id = touches.touch_id
