-- One row per widget, day, channel and next channel (R23). The next channel is null where the contact follows.
{{ config(materialized='view', tags='static_view') }}

with

journal as (

    select * from {{ ref('journal') }}

),

chains as (

    select * from {{ ref('int_chains') }}

),

steps as (

    select
        journal.widget_id,
        journal.contact_date,
        journal.is_multichannel,
        {{ each_of('chains.channels') }} as channel,
        {{ each_of(one_after_another(all_but_first('chains.channels'), list_of_one('null'))) }} as next_channel
    from journal
    inner join chains on journal.contact_id = chains.contact_id

)

select
    widget_id,
    contact_date,
    channel,
    next_channel,
    count(*) as step_count,
    {{ count_where('is_multichannel') }} as multichannel_step_count
from steps
group by widget_id, contact_date, channel, next_channel
order by widget_id, contact_date, channel, next_channel
