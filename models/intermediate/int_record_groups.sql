-- One row per touch or contact of the affected clients, with the group of identifiers that it belongs to (R13, R16).
with

records as (

    select * from {{ ref('int_records') }}

),

identity_groups as (

    select * from {{ ref('int_identity_groups') }}

),

contact_groups as (

    select
        records.record_number,
        records.load_id,
        coalesce(identity_groups.group_key, records.identity_key) as identifier_group
    from records
    left join identity_groups on records.identity_key = identity_groups.identity_key
    where records.record_kind = 'contact'

),

client_groups as (

    select distinct identifier_group
    from contact_groups
    where identifier_group is not null

),

-- All identities of somebody who made contact, those of one identifier too.
client_identities as (

    select
        identity_groups.identity_key,
        identity_groups.group_key as identifier_group
    from identity_groups
    where identity_groups.group_key in (select identifier_group from client_groups)
    union
    select
        identifier_group as identity_key,
        identifier_group
    from client_groups

)

select
    'contact' as record_kind,
    record_number,
    load_id,
    identifier_group
from contact_groups
union all
select
    'touch' as record_kind,
    records.record_number,
    records.load_id,
    client_identities.identifier_group
from records
inner join client_identities on records.identity_key = client_identities.identity_key
where records.record_kind = 'touch'
