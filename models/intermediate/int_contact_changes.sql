-- One row per affected contact, with what about it, or about its client's touches and contacts, has changed. None if everything
-- is built anew.
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

identity_groups as (

    select * from {{ ref('int_identity_groups') }}

),

-- One by one, as what they were on together may be on nothing any more.
changed_identifiers as (

    select
        record_changes.record_kind,
        record_changes.is_new,
        changed_versions.record_date,
        {{ each_of("coalesce(changed_versions.identifier_keys, " ~ list_of_one('changed_versions.identity_key') ~ ")") }} as identifier_key
    from changed_versions
    inner join record_changes on changed_versions.record_key = record_changes.record_key

),

group_changes as (

    select
        coalesce(identity_groups.group_key, changed_identifiers.identifier_key) as identifier_group,
        max(case when changed_identifiers.record_kind = 'contact' then 1 else 0 end) as has_changed_contacts,
        min(
            case when changed_identifiers.record_kind = 'touch' and changed_identifiers.is_new then changed_identifiers.record_date end
        ) as first_new_touch_date,
        min(
            case when changed_identifiers.record_kind = 'touch' and not changed_identifiers.is_new then changed_identifiers.record_date end
        ) as first_changed_touch_date
    from changed_identifiers
    left join identity_groups on changed_identifiers.identifier_key = identity_groups.identity_key
    group by coalesce(identity_groups.group_key, changed_identifiers.identifier_key)

),

contact_groups as (

    select
        contact_id,
        identifier_group,
        {{ report_date(counting_ends_at('contacted_at')) }} as last_touch_date
    from contact_clients

)

select
    affected_contacts.contact_id,
    record_changes.record_key is not null as is_changed,
    coalesce(record_changes.is_corrected, false) as is_corrected,
    coalesce(group_changes.has_changed_contacts, 0) = 1 as has_changed_contacts,
    coalesce(group_changes.first_new_touch_date <= contact_groups.last_touch_date, false) as has_new_touches,
    coalesce(group_changes.first_changed_touch_date <= contact_groups.last_touch_date, false) as has_changed_touches
from affected_contacts
left join record_changes on affected_contacts.record_key = record_changes.record_key
left join contact_groups on affected_contacts.contact_id = contact_groups.contact_id
left join group_changes on contact_groups.identifier_group = group_changes.identifier_group
where not {{ is_full_build() }}
