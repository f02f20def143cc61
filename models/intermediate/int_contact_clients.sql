-- One row per contact, with the client who made it.
with

contacts as (

    select * from {{ ref('int_contacts') }}

),

record_groups as (

    select * from {{ ref('int_record_groups') }}

),

contact_groups as (

    select
        contacts.contact_id,
        contacts.contacted_at,
        record_groups.identifier_group,
        -- A contact without any identifier is a client of its own (R15).
        coalesce(cast(record_groups.identifier_group as varchar), 'contact ' || contacts.contact_id) as client_group
    from contacts
    left join record_groups
        on contacts.contact_id = record_groups.record_id
        and record_groups.record_kind = 'contact'

),

contact_instants as (

    select
        client_group,
        contacted_at,
        lag(contacted_at) over (partition by client_group order by contacted_at) as previous_contact_at
    from contact_groups
    group by client_group, contacted_at

)

select
    contact_groups.contact_id,
    contact_groups.contacted_at,
    contact_groups.identifier_group,
    'client-' || first_value(contact_groups.contact_id) over (
        partition by contact_groups.client_group
        order by contact_groups.contacted_at, contact_groups.contact_id
    ) as client_id,
    row_number() over (
        partition by contact_groups.client_group
        order by contact_groups.contacted_at, contact_groups.contact_id
    ) as contact_number,
    contact_instants.previous_contact_at
from contact_groups
inner join contact_instants
    on contact_groups.client_group = contact_instants.client_group
    and contact_groups.contacted_at = contact_instants.contacted_at
