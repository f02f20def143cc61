-- One row per chain of the affected people (R23, Attribution): of each contact with counted touches, and of each person with
-- touches since the latest contact (R2), or without any contact (R16). Same events (R28), uncounted direct touches (R12) and
-- touches without identifiers, of which nobody can know what they led to, are in no chain.
{{ config(materialized='table') }}

with

left_out_touches as (

    select id from {{ ref('int_same_events') }}
    where kind = 'touch'

),

contacts as (

    select
        contacts.contact_id,
        contacts.brand_id,
        contacts.cluster_key,
        {{ counting_ends_at('contacts.contacted_at') }} as counting_ends_at,
        contact_counts.collapsed_channels
    from {{ ref('int_contacts') }} as contacts
    inner join {{ ref('int_contact_verdicts') }} as contact_counts on contacts.contact_id = contact_counts.contact_id
    where {{ is_in_part(hash_bucket('contacts.cluster_key')) }}

),

clients as (

    select
        contact_clients.client_id,
        contacts.cluster_key,
        min(contacts.brand_id) as brand_id,
        max(contacts.counting_ends_at) as counting_ends_at
    from contacts
    inner join {{ ref('int_contact_clients') }} as contact_clients on contacts.contact_id = contact_clients.contact_id
    where contacts.cluster_key is not null
    group by contact_clients.client_id, contacts.cluster_key

),

client_touches as (

    select * from {{ ref('int_client_touches') }}
    where is_counted

),

prospect_touches as (

    select * from {{ ref('int_prospect_touches') }} as touches
    where is_counted
        and not exists (
            select 1 from left_out_touches
            where left_out_touches.id = touches.touch_id
        )
        and {{ is_in_part(hash_bucket('cluster_key')) }}

),

touches_without_contact as (

    select
        clients.cluster_key,
        clients.brand_id,
        client_touches.touched_at,
        client_touches.touch_id,
        client_touches.channel
    from clients
    inner join client_touches
        on clients.client_id = client_touches.client_id
        and clients.counting_ends_at <= client_touches.touched_at
    union all
    select
        cluster_key,
        brand_id,
        touched_at,
        touch_id,
        channel
    from prospect_touches

),

touches_of_person as (

    select
        cluster_key,
        count(*) as touch_count,
        min(brand_id) as brand_id,
        min(channel) as only_channel
    from touches_without_contact
    group by cluster_key

),

-- Most people have a single touch, whose chain needs no order.
people_with_several_touches as (

    select * from touches_of_person
    where touch_count > 1

),

numbered_touches as (

    select
        touches_without_contact.cluster_key,
        people_with_several_touches.brand_id,
        people_with_several_touches.touch_count,
        touches_without_contact.channel,
        row_number() over (
            partition by touches_without_contact.cluster_key
            order by touches_without_contact.touched_at, touches_without_contact.touch_id
        ) as touch_number,
        lag(touches_without_contact.channel) over (
            partition by touches_without_contact.cluster_key
            order by touches_without_contact.touched_at, touches_without_contact.touch_id
        ) as previous_channel
    from touches_without_contact
    inner join people_with_several_touches on touches_without_contact.cluster_key = people_with_several_touches.cluster_key

),

collapsed_touches as (

    select *
    from numbered_touches
    where touch_number > touch_count - {{ var('history_touch_limit') }}
        and (
            touch_number = 1
            or touch_number = touch_count - {{ var('history_touch_limit') }} + 1
            or channel <> previous_channel
        )

)

select
    contact_id,
    {{ null_key() }} as cluster_key,
    brand_id,
    collapsed_channels as channels
from contacts
where collapsed_channels is not null
union all
select
    null as contact_id,
    cluster_key,
    min(brand_id) as brand_id,
    {{ list_in_order('channel', 'touch_number') }} as channels
from collapsed_touches
group by cluster_key
union all
select
    null as contact_id,
    cluster_key,
    brand_id,
    {{ list_of(['only_channel']) }} as channels
from touches_of_person
where touch_count = 1
