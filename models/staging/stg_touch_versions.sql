-- One row per touch: its newest version, typed.
with

touches as (

    select * from {{ source('raw', 'touches') }}

),

loads as (

    select * from {{ ref('stg_loads') }}

),

ranked_versions as (

    select
        touches.*,
        row_number() over (
            partition by touches.touch_id
            order by loads.load_day desc, touches.file_name desc, touches.row_number desc
        ) as version_rank
    from touches
    inner join loads on touches.load_id = loads.load_id

)

select
    touch_id,
    widget_id,
    {{ instant('touched_at') }} as touched_at,
    case when lower(action_type) = 'click' then 'click' else 'visit' end as action_type,
    visitor_id,
    yandex_client_id,
    google_client_id,
    crm_client_id,
    landing_page,
    referrer,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_term,
    utm_content,
    location,
    device_type,
    {{ without_empty(text_list('visited_pages')) }} as visited_pages,
    {{ seconds('time_on_site') }} as time_on_site,
    {{ seconds('visit_duration') }} as visit_duration,
    page_hash
from ranked_versions
where version_rank = 1
