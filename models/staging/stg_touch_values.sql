-- One row per touch of the affected clients that no build before has typed. What ties nothing is no identifier (R15).
with

touches as (

    select * from {{ source('raw', 'touches') }}

),

untyped_touches as (

    select
        record_number,
        load_id
    from {{ ref('int_record_groups') }}
    where record_kind = 'touch'
        and record_number not in (select record_number from {{ typed_touches() }})

)

select
    touches.record_number,
    touches.load_id,
    touches.touch_id,
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
-- By the load too: loads without such touches, which are most, needn't be read.
inner join untyped_touches
    on touches.load_id = untyped_touches.load_id
    and touches.record_number = untyped_touches.record_number
