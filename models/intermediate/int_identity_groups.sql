-- One row per affected identity that is tied to others, with its group. An identity without a row here is a group of its own.
with

ties as (

    select * from {{ ref('int_ties') }}

),

nodes as (

    select * from {{ ref('int_tie_nodes') }}

),

components as (

    select * from {{ ref('int_tie_components') }}

),

-- Named after one of its identifiers, a group is called the same in every build.
groups as (

    select
        components.component,
        min(nodes.identifier_key) as group_key
    from nodes
    inner join components on nodes.node = components.node
    group by components.component

),

identifiers as (

    select
        nodes.identifier_key,
        groups.group_key
    from nodes
    inner join components on nodes.node = components.node
    inner join groups on components.component = groups.component

)

select
    identifier_key as identity_key,
    group_key
from identifiers
union all
select
    ties.identity_key,
    min(identifiers.group_key) as group_key
from ties
inner join identifiers on ties.identifier_key = identifiers.identifier_key
group by ties.identity_key
