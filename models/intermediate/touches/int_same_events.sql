-- One row per touch or contact of the affected people that is left out as the same event as another (R28). What is left out
-- leaves others out all the same: each record is compared with what was delivered, not with any verdict.
{{ config(materialized='table') }}

with

touch_sources as (

    select
        cluster_key,
        widget_id,
        delivered_by
    from {{ ref('int_touches') }}
    where delivered_by is not null
    union all
    select
        cluster_key,
        widget_id,
        delivered_by
    from {{ ref('int_prospect_touches') }}
    where delivered_by is not null

),

-- For most people one source delivers all touches on a site, and there is nothing to compare.
sites_of_several_sources as (

    select
        cluster_key,
        widget_id
    from touch_sources
    group by cluster_key, widget_id
    having min(delivered_by) <> max(delivered_by)

),

touches as (

    select
        touches.cluster_key,
        touches.widget_id,
        touches.touch_id,
        touches.touched_at,
        touches.source,
        touches.medium,
        touches.delivered_by
    from {{ ref('int_touches') }} as touches
    inner join sites_of_several_sources as sites
        on touches.cluster_key = sites.cluster_key and touches.widget_id = sites.widget_id
    where touches.delivered_by is not null
    union all
    select
        touches.cluster_key,
        touches.widget_id,
        touches.touch_id,
        touches.touched_at,
        touches.source,
        touches.medium,
        touches.delivered_by
    from {{ ref('int_prospect_touches') }} as touches
    inner join sites_of_several_sources as sites
        on touches.cluster_key = sites.cluster_key and touches.widget_id = sites.widget_id
    where touches.delivered_by is not null

),

-- One row per contact and phone, and one per contact and email address: either may match.
contacts as (

    select
        cluster_key,
        widget_id,
        contact_id,
        contacted_at,
        contact_type,
        delivered_by,
        'phone' as identifier_kind,
        identifying_phone as identifier
    from {{ ref('int_contacts') }}
    where delivered_by is not null and identifying_phone is not null
    union all
    select
        cluster_key,
        widget_id,
        contact_id,
        contacted_at,
        contact_type,
        delivered_by,
        'email' as identifier_kind,
        identifying_email as identifier
    from {{ ref('int_contacts') }}
    where delivered_by is not null and identifying_email is not null

),

repeated_identifiers as (

    select
        widget_id,
        identifier_kind,
        identifier
    from contacts
    group by widget_id, identifier_kind, identifier
    having count(*) > 1

),

delivering_sources as (

    select delivered_by from touches
    union
    select delivered_by from contacts

),

sources as (

    select
        delivered_by,
        row_number() over (order by {{ source_position('delivered_by') }}, delivered_by) as precedence
    from delivering_sources

),

comparable_touches as (

    select
        touches.*,
        sources.precedence,
        {{ microseconds('touches.touched_at') }} as moment
    from touches
    inner join sources on touches.delivered_by = sources.delivered_by

),

comparable_contacts as (

    select
        contacts.*,
        sources.precedence,
        {{ microseconds('contacts.contacted_at') }} as moment
    from contacts
    inner join sources on contacts.delivered_by = sources.delivered_by
    inner join repeated_identifiers
        on contacts.widget_id = repeated_identifiers.widget_id
        and contacts.identifier_kind = repeated_identifiers.identifier_kind
        and contacts.identifier = repeated_identifiers.identifier

),

touches_and_first_ones as (

    select
        *,
        {{ first_before('precedence', 'touch_id', ['cluster_key', 'widget_id'], 'same_touch_seconds') }} as touch_before,
        {{ first_after('precedence', 'touch_id', ['cluster_key', 'widget_id'], 'same_touch_seconds') }} as touch_after,
        {{ first_before('precedence', 'touch_id', ['cluster_key', 'widget_id', 'source', 'medium'], 'same_visit_seconds') }} as visit_before,
        {{ first_after('precedence', 'touch_id', ['cluster_key', 'widget_id', 'source', 'medium'], 'same_visit_seconds') }} as visit_after
    from comparable_touches

),

contacts_and_first_ones as (

    select
        *,
        {{ first_before('precedence', 'contact_id', ['widget_id', 'identifier_kind', 'identifier', 'contact_type'], 'same_contact_seconds') }} as contact_before,
        {{ first_after('precedence', 'contact_id', ['widget_id', 'identifier_kind', 'identifier', 'contact_type'], 'same_contact_seconds') }} as contact_after,
        -- Of callbacks the nearest counts, whatever its precedence.
        {{ first_before('0', 'contact_id', ['widget_id', 'identifier_kind', 'identifier'], 'same_contact_seconds', "contact_type = 'callback'") }} as callback_before
    from comparable_contacts

),

compared_touches as (

    select
        cluster_key,
        touch_id,
        delivered_by,
        least(
            {{ if_higher('touch_before', 'precedence') }},
            {{ if_higher('touch_after', 'precedence') }},
            {{ if_higher('visit_before', 'precedence') }},
            {{ if_higher('visit_after', 'precedence') }}
        ) as same_touch
    from touches_and_first_ones

),

compared_contacts as (

    select
        cluster_key,
        contact_id,
        delivered_by,
        min(least({{ if_higher('contact_before', 'precedence') }}, {{ if_higher('contact_after', 'precedence') }})) as same_contact,
        min(case when contact_type = 'call' then {{ if_higher('callback_before', 'precedence') }} end) as same_callback
    from contacts_and_first_ones
    group by cluster_key, contact_id, delivered_by

)

select
    'touch' as kind,
    touch_id as id,
    delivered_by,
    same_touch.id as same_as,
    cluster_key
from compared_touches
where same_touch is not null
union all
select
    'contact' as kind,
    contact_id as id,
    delivered_by,
    coalesce(same_contact, same_callback).id as same_as,
    cluster_key
from compared_contacts
where coalesce(same_contact, same_callback) is not null
