-- One row per touch of the affected clients, typed. What ties nothing is no identifier (R15).
with

touches as (

    select * from {{ source('raw', 'touches') }}

),

record_groups as (

    select * from {{ ref('int_record_groups') }}
    where record_kind = 'touch'

)

select
    touches.touch_id,
    record_groups.identifier_group,
    touches.widget_id,
    {{ instant('touches.touched_at') }} as touched_at,
    case when lower(touches.action_type) = 'click' then 'click' else 'visit' end as action_type,
    {{ tying('visitor_id', 'touches.visitor_id') }} as visitor_id,
    {{ tying('crm_client_id', 'touches.crm_client_id') }} as crm_client_id,
    touches.landing_page,
    touches.referrer,
    touches.utm_source,
    touches.utm_medium,
    touches.utm_campaign,
    touches.utm_term,
    touches.utm_content,
    touches.location,
    touches.device_type,
    {{ without_empty(text_list('touches.visited_pages')) }} as visited_pages,
    {{ seconds('touches.time_on_site') }} as time_on_site,
    {{ seconds('touches.visit_duration') }} as visit_duration,
    touches.page_hash
from touches
inner join record_groups on touches.record_number = record_groups.record_number
