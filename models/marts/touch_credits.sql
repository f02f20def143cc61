-- One row per contact and touch that its history keeps, or one for the contact alone if no touch counts (Attribution). Published as a
-- view over two tables, as the credits of the data-driven models change with every build, for all contacts.
{{ config(materialized='view', tags='static_view') }}

with

touches as (

    select * from {{ ref('int_touch_credits') }}

),

path_credits as (

    select * from {{ ref('int_path_credits') }}

)

select
    touches.contact_id,
    touches.contact_date,
    touches.contact_type,
    touches.widget_id,
    touches.brand_id,
    touches.is_multichannel,
    touches.value,
    touches.touch_rank,
    touches.touch_id,
    touches.touched_at,
    touches.channel,
    touches.source,
    touches.medium,
    touches.campaign,
    touches.utm_term,
    touches.channel_told_by,
    touches.channel_rule_order,
    {{ of_each_model('touches.MODEL', is_data_driven=false) }},
    -- A touch that is alone earns all.
    {{ of_each_model("cast(coalesce(path_credits.MODEL, 1) as decimal(18, 12)) as MODEL", is_data_driven=true) }}
from touches
left join path_credits on touches.path_key = path_credits.path_key and touches.touch_position = path_credits.touch_position
