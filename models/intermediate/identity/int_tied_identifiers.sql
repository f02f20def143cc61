-- One row per identifier that is tied to a smaller one, with its cluster (R13). A cluster is named after its smallest identifier, so
-- it has the same name in every build, and an identifier without a row is the name of its own.
with

shared_identifiers as (

    select
        nodes.identifier_key,
        components.component
    from {{ ref('int_identity_nodes') }} as nodes
    inner join {{ ref('int_identity_components') }} as components on nodes.node = components.node

),

-- All identifiers that an identity shares are in one component. Most identities share none.
tied_identities as (

    select
        edges.record_number,
        min(edges.smallest_identifier_key) as smallest_identifier_key,
        min(shared_identifiers.component) as component
    from {{ ref('int_identity_edges') }} as edges
    inner join shared_identifiers on edges.identifier_key = shared_identifiers.identifier_key
    group by edges.record_number

),

component_clusters as (

    select
        component,
        min(smallest_identifier_key) as cluster_key
    from tied_identities
    group by component

),

identity_clusters as (

    select
        tied_identities.record_number,
        component_clusters.cluster_key
    from tied_identities
    inner join component_clusters on tied_identities.component = component_clusters.component

),

identifiers as (

    select
        edges.identifier_key,
        coalesce(identity_clusters.cluster_key, edges.smallest_identifier_key) as cluster_key
    from {{ ref('int_identity_edges') }} as edges
    left join identity_clusters on edges.record_number = identity_clusters.record_number
    where
        not exists (
            select 1 from shared_identifiers
            where shared_identifiers.identifier_key = edges.identifier_key
        )
    union all
    select
        shared_identifiers.identifier_key,
        component_clusters.cluster_key
    from shared_identifiers
    inner join component_clusters on shared_identifiers.component = component_clusters.component

)

select
    identifier_key,
    cluster_key
from identifiers
where identifier_key <> cluster_key
