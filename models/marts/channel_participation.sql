-- One row per widget, day and channel, and one per widget, day, channel, source, medium and campaign (R24).
{{ config(materialized='view', tags='static_view') }}

with

participation as (

    select * from {{ ref('int_participation') }}

),

-- A contact counts once for a channel, however many sources, mediums and campaigns it came by.
channels as (

    select
        contact_id,
        widget_id,
        contact_date,
        channel,
        max(case when is_multichannel then 1 else 0 end) = 1 as is_multichannel,
        max(case when is_alone then 1 else 0 end) = 1 as is_alone,
        max(case when is_opening then 1 else 0 end) = 1 as is_opening,
        max(case when is_assisting then 1 else 0 end) = 1 as is_assisting,
        max(case when is_closing then 1 else 0 end) = 1 as is_closing
    from participation
    group by contact_id, widget_id, contact_date, channel

),

parts as (

    select
        'channel' as grain,
        widget_id,
        contact_date,
        channel,
        null as source,
        null as medium,
        null as campaign,
        is_multichannel,
        is_alone,
        is_opening,
        is_assisting,
        is_closing
    from channels
    union all
    select
        'campaign' as grain,
        widget_id,
        contact_date,
        channel,
        source,
        medium,
        campaign,
        is_multichannel,
        is_alone,
        is_opening,
        is_assisting,
        is_closing
    from participation

)

select
    grain,
    widget_id,
    contact_date,
    channel,
    source,
    medium,
    campaign,
    count(*) as contact_count,
    {{ count_where('is_opening') }} as opened_count,
    {{ count_where('is_assisting') }} as assisted_count,
    {{ count_where('is_closing') }} as closed_count,
    {{ count_where('is_alone') }} as alone_count,
    {{ count_where('is_multichannel') }} as multichannel_contact_count,
    {{ count_where('is_multichannel and is_opening') }} as multichannel_opened_count,
    {{ count_where('is_multichannel and is_assisting') }} as multichannel_assisted_count,
    {{ count_where('is_multichannel and is_closing') }} as multichannel_closed_count
from parts
group by grain, widget_id, contact_date, channel, source, medium, campaign
order by grain, widget_id, contact_date, channel, source, medium, campaign
