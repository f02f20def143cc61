-- One row per affected touch or contact, with the group of identifiers that it belongs to (R13). A touch of somebody who never made
-- contact (R16) is a prospect's: it stays out of all that is told of clients.
with

records as (

    select * from {{ ref('int_records') }}

),

identity_groups as (

    select * from {{ ref('int_identity_groups') }}

),

record_groups as (

    select
        records.record_kind,
        records.record_number,
        records.load_id,
        coalesce(identity_groups.group_key, records.identity_key) as identifier_group
    from records
    left join identity_groups on records.identity_key = identity_groups.identity_key

),

client_groups as (

    select distinct identifier_group
    from record_groups
    where record_kind = 'contact' and identifier_group is not null

)

select
    case
        when record_groups.record_kind = 'touch' and client_groups.identifier_group is null then 'prospect_touch'
        else record_groups.record_kind
    end as record_kind,
    record_groups.record_number,
    record_groups.load_id,
    record_groups.identifier_group
from record_groups
left join client_groups on record_groups.identifier_group = client_groups.identifier_group
