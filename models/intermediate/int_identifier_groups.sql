-- One row per identity of several identifiers, and identifier: what is tied to what, of all clients and of all who may become one.
-- An identity goes by the latest record that carries it: a number is read in far less than a key.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_groups(this) }}") }}

with

ties as (

    select * from {{ ref('int_ties') }}

),

identity_groups as (

    -- Classed before they are joined: in a full build all that is joined has to be held, and keys are four times as long.
    select
        identity_key,
        {{ key_class('group_key') }} as group_class
    from {{ ref('int_identity_groups') }}

),

tied as (

    select
        ties.record_number,
        ties.load_id,
        ties.identifier_key,
        {{ key_class('ties.identifier_key') }} as identifier_class,
        identity_groups.group_class,
        row_number() over (
            partition by identity_groups.group_class order by ties.record_number, ties.identifier_key
        ) - 1 as group_position,
        count(*) over (partition by identity_groups.group_class) as group_size,
        max(ties.record_number) over (partition by identity_groups.group_class) as last_record_number
    from ties
    inner join identity_groups on ties.identity_key = identity_groups.identity_key

)

select
    record_number,
    load_id,
    identifier_key,
    identifier_class,
    group_class,
    group_position,
    group_size
from tied
-- A group's rows lie one after another, so that who finds one has found all. People come back within days or weeks: those
-- of a day are found in few places.
order by last_record_number, group_class, group_position
