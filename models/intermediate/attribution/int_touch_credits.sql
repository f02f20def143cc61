-- One row per contact and touch that its history keeps, or one for the contact alone if no touch counts, with the touch's credit
-- by the models that look at nothing but the contact (Attribution). Direct touches are those of R12.
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

histories as (

    select
        contact_touches.contact_id,
        count(*) as kept_touch_count,
        {{ list_in_order('touches.channel', 'contact_touches.touch_rank') }} as channels,
        max(contact_touches.touch_rank) as last_touch_rank,
        max(case when not {{ is_direct('touches.source', 'touches.medium') }} then contact_touches.touch_rank end) as last_non_direct_rank
    from contact_touches
    inner join touches on contact_touches.touch_id = touches.touch_id
    group by contact_touches.contact_id

),

contacts_and_touches as (

    select
        journal.contact_id,
        journal.contact_date,
        journal.contact_type,
        journal.widget_id,
        journal.brand_id,
        journal.is_multichannel,
        journal.value,
        contact_touches.touch_rank,
        coalesce(contact_touches.touch_rank - histories.last_touch_rank + histories.kept_touch_count, 1) as touch_position,
        coalesce(histories.kept_touch_count, 1) as kept_touch_count,
        case
            when histories.kept_touch_count > 1
                then {{ path_key('journal.brand_id', 'histories.channels') }}
        end as path_key,
        histories.last_non_direct_rank - histories.last_touch_rank + histories.kept_touch_count as last_non_direct_position,
        coalesce({{ days_between('touches.touched_at', 'journal.last_touch_at') }}, 0) / {{ var('time_decay_half_life_days') }} as half_lives_before_last,
        touches.touch_id,
        touches.touched_at,
        coalesce(touches.channel, '{{ unattributed() }}') as channel,
        touches.source,
        touches.medium,
        touches.utm_campaign as campaign,
        touches.utm_term,
        touches.channel_told_by,
        touches.channel_rule_order
    from journal
    left join contact_touches on journal.contact_id = contact_touches.contact_id
    left join histories on journal.contact_id = histories.contact_id
    left join touches on contact_touches.touch_id = touches.touch_id

),

credited as (

    {{ with_credits('contacts_and_touches', attribution_model_names(is_data_driven=false)) }}

)

select
    contact_id,
    contact_date,
    contact_type,
    widget_id,
    brand_id,
    is_multichannel,
    value,
    touch_rank,
    touch_position,
    kept_touch_count,
    path_key,
    touch_id,
    touched_at,
    channel,
    source,
    medium,
    campaign,
    utm_term,
    channel_told_by,
    channel_rule_order,
    {{ attribution_model_names(is_data_driven=false) | join(',\n    ') }}
from credited
