-- One row per affected identity that is tied to others, with its cluster (R13). An identity without a row is a cluster of its
-- own.
with

ties as (

    select * from {{ ref('int_identity_edges') }}

),

shared_identifiers as (

    select
        nodes.identifier_key,
        components.component
    from {{ ref('int_identity_nodes') }} as nodes
    inner join {{ ref('int_identity_components') }} as components on nodes.node = components.node

),

-- All identifiers that an identity shares are in one component. Most identities share none.
identities as (

    select
        ties.identity_key,
        min(ties.identifier_key) as smallest_identifier_key,
        min(shared_identifiers.component) as component
    from ties
    left join shared_identifiers on ties.identifier_key = shared_identifiers.identifier_key
    group by ties.identity_key

),

-- A cluster is named after its smallest identifier key, so it has the same name in every build.
component_clusters as (

    select
        component,
        min(smallest_identifier_key) as cluster_key
    from identities
    where component is not null
    group by component

),

identity_clusters as (

    select
        identities.identity_key,
        coalesce(component_clusters.cluster_key, identities.smallest_identifier_key) as cluster_key
    from identities
    left join component_clusters on identities.component = component_clusters.component

)

select
    identity_key,
    cluster_key
from identity_clusters
union all
select
    ties.identifier_key as identity_key,
    identity_clusters.cluster_key
from ties
inner join identity_clusters on ties.identity_key = identity_clusters.identity_key
where ties.identifier_key not in (select identifier_key from shared_identifiers)
union all
select
    shared_identifiers.identifier_key as identity_key,
    component_clusters.cluster_key
from shared_identifiers
inner join component_clusters on shared_identifiers.component = component_clusters.component
