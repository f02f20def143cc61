-- One row per contact of the affected clients, with the client who made it; none of what another source delivered too (R28).
with

left_out_contacts as (

    select id from {{ ref('int_new_same_events') }}
    where kind = 'contact'

),

contacts as (

    select * from {{ ref('stg_contacts') }}
    where contact_id not in (select id from left_out_contacts)

),

contact_groups as (

    select
        contact_id,
        contacted_at,
        identifier_group,
        -- A contact without any identifier is a client of its own (R15).
        coalesce({{ key_text('identifier_group') }}, 'contact ' || contact_id) as client_group
    from contacts

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
