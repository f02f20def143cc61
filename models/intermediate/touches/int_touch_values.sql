-- One row per affected touch that no previous build has typed, and per touch of a prospect (R16), with its values read (R10,
-- R25), its origin (R11), and the identifiers that tie it (R13, R15). Of prospects' touches, which are most, only what their
-- chains need is read.
{{ config(materialized='table') }}

{% set only_of_clients = {
    'action_type': "case when lower(touches.action_type) = 'click' then 'click' else 'visit' end",
    'visitor_id': identifying('visitor_id', 'touches.visitor_id', 'ignored'),
    'yandex_client_id': identifying('yandex_client_id', 'touches.yandex_client_id', 'ignored'),
    'google_client_id': identifying('google_client_id', 'touches.google_client_id', 'ignored'),
    'crm_client_id': identifying('crm_client_id', 'touches.crm_client_id', 'ignored'),
    'landing_page': 'touches.landing_page',
    'location': 'touches.location',
    'device_type': 'touches.device_type',
    'visited_pages': without_empty(text_list('touches.visited_pages')),
    'time_on_site': seconds('touches.time_on_site'),
    'visit_duration': seconds('touches.visit_duration'),
    'page_hash': 'touches.page_hash',
} %}

with

affected_touches as (

    select
        record_number,
        load_id,
        cluster_key,
        record_kind = 'prospect_touch' as is_prospect
    from {{ ref('int_record_clusters') }}
    where record_kind <> 'contact'

),

-- Look the typed ones up first: an anti join with the whole table would compare with every row.
typed_touches as (

    select record_number
    from {{ previous(source('previous', 'int_typed_touches')) }}
    where record_number in (select record_number from affected_touches)

),

-- If a client's contacts are all gone, the client is a prospect again, whose touches are typed already.
untyped_touches as (

    select *
    from affected_touches
    where is_prospect or record_number not in (select record_number from typed_touches)

),

ignored as (

    {{ lists_of_ignored(ref('placeholders'), ref('stg_ignored_identifiers')) }}

),

touches as (

    select * from {{ source('raw', 'touches') }}
    where {{ are_among(source('raw', 'touches'), 'untyped_touches') }}

)

select
    touches.record_number,
    touches.load_id,
    untyped_touches.cluster_key,
    untyped_touches.is_prospect,
    touches.touch_id,
    touches.widget_id,
    {{ instant('touches.touched_at') }} as touched_at,
    {{ origin('touches', click_id_parameters(ref('click_ids'))) }} as origin,
    {% for column, value in only_of_clients.items() -%}
    case when not untyped_touches.is_prospect then {{ value }} end as {{ column }},
    {% endfor -%}
    touches.delivered_by
from touches
inner join untyped_touches on touches.record_number = untyped_touches.record_number
cross join ignored
