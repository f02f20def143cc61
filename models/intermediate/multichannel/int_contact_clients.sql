-- One row per contact of the affected clients, with its client (R13, R15, R16), its number (R21) and the previous contact (R7).
-- Leaves out contacts that are the same event as another (R28).
with

left_out_contacts as (

    select id from {{ ref('int_same_events') }}
    where kind = 'contact'

),

contacts as (

    select * from {{ ref('int_contacts') }} as contacts
    where
        not exists (
            select 1 from left_out_contacts
            where left_out_contacts.id = contacts.contact_id
        )

),

contact_clusters as (

    select
        contact_id,
        contacted_at,
        cluster_key,
        -- A contact without any identifier is a client of its own (R15).
        coalesce({{ key_text('cluster_key') }}, 'contact ' || contact_id) as client_cluster
    from contacts

),

contact_instants as (

    select
        client_cluster,
        contacted_at,
        lag(contacted_at) over (partition by client_cluster order by contacted_at) as previous_contact_at
    from contact_clusters
    group by client_cluster, contacted_at

)

select
    contact_clusters.contact_id,
    contact_clusters.contacted_at,
    contact_clusters.cluster_key,
    'client-' || first_value(contact_clusters.contact_id) over (
        partition by contact_clusters.client_cluster
        order by contact_clusters.contacted_at, contact_clusters.contact_id
    ) as client_id,
    cast(
        row_number() over (
            partition by contact_clusters.client_cluster
            order by contact_clusters.contacted_at, contact_clusters.contact_id
        ) as bigint
    ) as contact_number,
    contact_instants.previous_contact_at
from contact_clusters
inner join contact_instants
    on contact_clusters.client_cluster = contact_instants.client_cluster
    and contact_clusters.contacted_at = contact_instants.contacted_at
