-- One row per touch that no build before has typed, with its source and medium: tagged, or told by a click id or the referrer,
-- or direct.
{{ config(tags='lasting') }}

with

touches as (

    select * from {{ ref('stg_touch_tags') }}

),

widgets as (

    select * from {{ ref('widgets') }}

),

known_click_ids as (

    select {{ list_in_order("{'parameter': parameter, 'source': source, 'medium': medium}", 'click_id_order') }} as click_ids
    from {{ ref('click_ids') }}

),

known_referrers as (

    select {{ map_of('host', "{'kind': kind, 'name': name}") }} as referrers
    from {{ ref('referrers') }}

),

touches_with_hosts as (

    select
        touches.*,
        coalesce(widgets.brand_id, 'default') as brand_id,
        {{ site_host('coalesce(' ~ url_host('widgets.site_host') ~ ', lower(widgets.site_host), ' ~ url_host('touches.landing_page') ~ ')') }} as own_host,
        {{ url_host('touches.referrer') }} as referrer_host,
        touches.utm_source is not null or touches.utm_medium is not null as is_tagged,
        case
            when touches.utm_source is null and touches.utm_medium is null
                then {{ query_parameter_names('touches.landing_query') }}
        end as untagged_parameters
    from touches
    left join widgets on touches.widget_id = widgets.widget_id

),

untagged_answers as (

    select
        touches_with_hosts.*,
        case
            when not touches_with_hosts.is_tagged
                then {{ first_with_parameter('known_click_ids.click_ids', 'touches_with_hosts.untagged_parameters') }}
        end as click_id,
        case
            when not touches_with_hosts.is_tagged
                then {{ entry_of_host('known_referrers.referrers', 'touches_with_hosts.referrer_host') }}
        end as known_referrer,
        coalesce(
            touches_with_hosts.referrer_host = touches_with_hosts.own_host
            or ends_with(touches_with_hosts.referrer_host, '.' || touches_with_hosts.own_host),
            false
        ) as is_from_own_site
    from touches_with_hosts
    cross join known_click_ids
    cross join known_referrers

),

answers as (

    select
        *,
        case
            when is_tagged then 'tags'
            when click_id is not null then 'click_id'
            when referrer_host is null or is_from_own_site or known_referrer.kind = 'ignored' then 'direct'
            when known_referrer.kind = 'search' then 'search_engine'
            when known_referrer.kind = 'social' then 'social_network'
            else 'referring_site'
        end as channel_told_by
    from untagged_answers

)

select
    record_number,
    load_id,
    identifier_group,
    is_prospect,
    touch_id,
    widget_id,
    brand_id,
    touched_at,
    action_type,
    visitor_id,
    yandex_client_id,
    google_client_id,
    crm_client_id,
    landing_page,
    utm_source,
    utm_medium,
    utm_campaign,
    utm_term,
    utm_content,
    channel_told_by,
    case channel_told_by
        when 'tags' then coalesce(lower(utm_source), '(not set)')
        when 'click_id' then click_id.source
        when 'search_engine' then known_referrer.name
        when 'social_network' then known_referrer.name
        when 'referring_site' then referrer_host
        else '(direct)'
    end as source,
    case channel_told_by
        when 'tags' then coalesce(lower(utm_medium), '(not set)')
        when 'click_id' then click_id.medium
        when 'search_engine' then 'organic'
        when 'social_network' then 'social'
        when 'referring_site' then 'referral'
        else '(none)'
    end as medium,
    location,
    device_type,
    visited_pages,
    time_on_site,
    visit_duration,
    page_hash,
    delivered_by
from answers
