-- One row per affected contact, with what has changed about it or about its client's touches and contacts (R27). Empty in a full
-- build.
with

affected_contacts as (

    select
        contact_id,
        {{ record_key('contact', 'contact_id') }} as record_key
    from {{ ref('int_affected_contacts') }}

),

contact_clients as (

    select * from {{ ref('int_contact_clients') }}

),

changed_versions as (

    select * from {{ ref('int_changed_versions') }}
    where identity_key is not null

),

record_changes as (

    select * from {{ ref('int_record_changes') }}

),

tied_identifiers as (

    select * from {{ ref('int_tied_identifiers') }}

),

-- Taken one by one: no record may carry them together any more.
changed_identifiers as (

    select
        record_changes.record_kind,
        record_changes.is_new,
        changed_versions.record_date,
        {{ rows_of({
            'identifier_key': "coalesce(changed_versions.identifier_keys, " ~ list_of(['changed_versions.identity_key']) ~ ")"
        }) }}
    from changed_versions
    inner join record_changes on changed_versions.record_key = record_changes.record_key

),

cluster_changes as (

    select
        coalesce(tied_identifiers.cluster_key, changed_identifiers.identifier_key) as cluster_key,
        max(case when changed_identifiers.record_kind = 'contact' then 1 else 0 end) as has_changed_contacts,
        min(
            case when changed_identifiers.record_kind = 'touch' and changed_identifiers.is_new then changed_identifiers.record_date end
        ) as first_new_touch_date,
        min(
            case when changed_identifiers.record_kind = 'touch' and not changed_identifiers.is_new then changed_identifiers.record_date end
        ) as first_changed_touch_date
    from changed_identifiers
    left join tied_identifiers on changed_identifiers.identifier_key = tied_identifiers.identifier_key
    group by coalesce(tied_identifiers.cluster_key, changed_identifiers.identifier_key)

),

contact_clusters as (

    select
        contact_id,
        cluster_key,
        {{ report_date(counting_ends_at('contacted_at')) }} as last_touch_date
    from contact_clients

)

select
    affected_contacts.contact_id,
    record_changes.record_key is not null as is_changed,
    coalesce(record_changes.is_corrected, false) as is_corrected,
    coalesce(cluster_changes.has_changed_contacts, 0) = 1 as has_changed_contacts,
    coalesce(cluster_changes.first_new_touch_date <= contact_clusters.last_touch_date, false) as has_new_touches,
    coalesce(cluster_changes.first_changed_touch_date <= contact_clusters.last_touch_date, false) as has_changed_touches
from affected_contacts
left join record_changes on affected_contacts.record_key = record_changes.record_key
left join contact_clusters on affected_contacts.contact_id = contact_clusters.contact_id
left join cluster_changes on contact_clusters.cluster_key = cluster_changes.cluster_key
where not {{ is_full_build() }}
