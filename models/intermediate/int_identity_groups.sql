-- One row per affected identity that is tied to others, with its group. An identity without a row here is a group of its own.
with

ties as (

    select * from {{ ref('int_ties') }}

),

shared_identifiers as (

    select
        nodes.identifier_key,
        components.component
    from {{ ref('int_tie_nodes') }} as nodes
    inner join {{ ref('int_tie_components') }} as components on nodes.node = components.node

),

-- What an identity shares with others is all of one component. Most share nothing.
identities as (

    select
        ties.identity_key,
        min(ties.identifier_key) as smallest_identifier_key,
        min(shared_identifiers.component) as component
    from ties
    left join shared_identifiers on ties.identifier_key = shared_identifiers.identifier_key
    group by ties.identity_key

),

-- Named after one of its identifiers, a group is called the same in every build.
component_groups as (

    select
        component,
        min(smallest_identifier_key) as group_key
    from identities
    where component is not null
    group by component

),

identity_groups as (

    select
        identities.identity_key,
        coalesce(component_groups.group_key, identities.smallest_identifier_key) as group_key
    from identities
    left join component_groups on identities.component = component_groups.component

)

select
    identity_key,
    group_key
from identity_groups
union all
select
    ties.identifier_key as identity_key,
    identity_groups.group_key
from ties
inner join identity_groups on ties.identity_key = identity_groups.identity_key
where ties.identifier_key not in (select identifier_key from shared_identifiers)
union all
select
    shared_identifiers.identifier_key as identity_key,
    component_groups.group_key
from shared_identifiers
inner join component_groups on shared_identifiers.component = component_groups.component
