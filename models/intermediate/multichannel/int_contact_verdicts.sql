-- One row per contact: what counts for it, its chains (R23), and whether it is multichannel (R4).
with

ranges as (

    select * from {{ ref('int_contact_touch_ranges') }}

),

touches as (

    select * from {{ ref('int_client_touches') }}
    where is_counted

),

channels as (

    select
        contact_id,
        count(*) as channel_count,
        {{ sorted_list('channel') }} as channels
    from {{ ref('int_contact_channels') }}
    group by contact_id

),

chains as (

    select
        contact_id,
        min(touch_rank) as first_kept_rank,
        {{ joined_in_order('channel', ' > ', 'touch_rank') }} as kept_chain,
        {{ list_in_order('channel', 'touch_rank', 'is_other_channel') }} as collapsed_channels,
        {{ list_in_order('channel', 'touch_rank', 'is_new_channel') }} as different_channels
    from {{ ref('int_contact_touches') }}
    group by contact_id

)

select
    ranges.contact_id,
    ranges.client_id,
    ranges.touch_count,
    coalesce(channels.channel_count, 0) as channel_count,
    channels.channels,
    {{ chain('chains.kept_chain', 'chains.first_kept_rank > 1') }} as touch_chain,
    chains.collapsed_channels,
    {{ chain(joined('chains.collapsed_channels', "' > '"), 'chains.first_kept_rank > 1') }} as collapsed_chain,
    {{ chain(joined('chains.different_channels', "' > '"), 'chains.first_kept_rank > 1') }} as unique_chain,
    first_touches.touched_at as first_touch_at,
    last_touches.touched_at as last_touch_at,
    ranges.later_touch_count,
    ranges.earlier_touch_count,
    ranges.left_out_direct_count,
    ranges.touch_count >= 2 and coalesce(channels.channel_count, 0) >= 2 as is_multichannel
from ranges
left join channels on ranges.contact_id = channels.contact_id
left join chains on ranges.contact_id = chains.contact_id
left join touches as first_touches
    on ranges.touch_count > 0
    and ranges.client_id = first_touches.client_id
    and ranges.first_touch_number = first_touches.touch_number
left join touches as last_touches
    on ranges.touch_count > 0
    and ranges.client_id = last_touches.client_id
    and ranges.last_touch_number = last_touches.touch_number
