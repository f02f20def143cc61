-- One row per identity and identifier that it shares with others, by number, with the smallest number of these (R13).
{{ config(materialized='table') }}

with

nodes as (

    select * from {{ ref('int_identity_nodes') }}

)

select
    nodes.node,
    min(nodes.node) over (partition by edges.record_number) as first_node
from {{ ref('int_identity_edges') }} as edges
inner join nodes on edges.identifier_key = nodes.identifier_key
