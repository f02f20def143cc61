-- One row per touch, with its tags: the row's own, or else the landing page's.
{{ config(tags='lasting') }}

with

touches as (

    select * from {{ ref('stg_touch_values') }}

),

queries as (

    select
        *,
        {{ url_query('landing_page') }} as landing_query
    from touches

)

select
    record_number,
    load_id,
    identifier_group,
    is_prospect,
    touch_id,
    widget_id,
    touched_at,
    action_type,
    visitor_id,
    yandex_client_id,
    google_client_id,
    crm_client_id,
    landing_page,
    landing_query,
    referrer,
    coalesce(utm_source, {{ query_parameter('landing_query', 'utm_source') }}) as utm_source,
    coalesce(utm_medium, {{ query_parameter('landing_query', 'utm_medium') }}) as utm_medium,
    coalesce(utm_campaign, {{ query_parameter('landing_query', 'utm_campaign') }}) as utm_campaign,
    coalesce(utm_term, {{ query_parameter('landing_query', 'utm_term') }}) as utm_term,
    coalesce(utm_content, {{ query_parameter('landing_query', 'utm_content') }}) as utm_content,
    location,
    device_type,
    visited_pages,
    time_on_site,
    visit_duration,
    page_hash,
    delivered_by
from queries
