-- One row per widget, day and contact type, with the number of contacts by icon (R6, R22).
{{ config(materialized='view', tags='static_view') }}

select
    widget_id,
    contact_date,
    contact_type,
    count(*) as contact_count,
    {{ count_where("icon = 'multichannel'") }} as multichannel_contact_count,
    {{ count_where("icon = 'single_channel'") }} as single_channel_contact_count,
    {{ count_where("icon = 'no_touches'") }} as no_touches_contact_count
from {{ ref('journal') }}
group by widget_id, contact_date, contact_type
order by widget_id, contact_date, contact_type
