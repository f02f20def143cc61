-- One row per affected contact, with what about it, or about its client's touches, has changed. None if everything is built anew.
with

affected_contacts as (

    select * from {{ ref('int_affected_contacts') }}

),

contact_clients as (

    select * from {{ ref('int_contact_clients') }}

),

changed_versions as (

    select * from {{ ref('int_changed_versions') }}

),

changed_loads as (

    select * from {{ ref('int_changed_loads') }}

),

identity_groups as (

    select * from {{ ref('int_identity_groups') }}

),

contacts as (

    select
        record_number,
        contact_id
    from {{ source('raw', 'contacts') }}

),

changed_contacts as (

    select distinct contacts.contact_id
    from contacts
    inner join changed_versions
        on contacts.record_number = changed_versions.record_number
        and changed_versions.record_kind = 'contact'

),

-- New is what no load before brought in any version.
changed_touches as (

    select
        changed_versions.record_key,
        min(case when changed_loads.is_new then 1 else 0 end) as is_new
    from changed_versions
    left join changed_loads on changed_versions.load_id = changed_loads.load_id
    where changed_versions.record_kind = 'touch'
    group by changed_versions.record_key

),

-- Of the groups that their old versions were in, and those that their new ones are in.
touches_of_groups as (

    select distinct
        coalesce(identity_groups.group_key, changed_versions.identity_key) as identifier_group,
        changed_touches.is_new
    from changed_versions
    inner join changed_touches on changed_versions.record_key = changed_touches.record_key
    left join identity_groups on changed_versions.identity_key = identity_groups.identity_key
    where changed_versions.record_kind = 'touch'

),

group_changes as (

    select
        identifier_group,
        max(is_new) as has_new_touches,
        max(1 - is_new) as has_changed_touches
    from touches_of_groups
    group by identifier_group

)

select
    affected_contacts.contact_id,
    changed_contacts.contact_id is not null as is_changed,
    coalesce(group_changes.has_new_touches, 0) = 1 as has_new_touches,
    coalesce(group_changes.has_changed_touches, 0) = 1 as has_changed_touches
from affected_contacts
left join changed_contacts on affected_contacts.contact_id = changed_contacts.contact_id
left join contact_clients on affected_contacts.contact_id = contact_clients.contact_id
left join group_changes on contact_clients.identifier_group = group_changes.identifier_group
where not {{ is_full_build() }}
