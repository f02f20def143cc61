-- One row per pair of source and medium that a channel rule gives a name of the company's own (R11, step 4).
{{ config(materialized='table') }}

with

pairs as (

    select
        {{ lower_case('source') }} as source,
        {{ lower_case('medium') }} as medium
    from {{ ref('int_origins') }}
    union
    select
        source,
        medium
    from {{ ref('stg_costs') }}

),

channel_rules as (

    select
        rule_order,
        match,
        {{ lower_case(one_form('source')) }} as source,
        {{ lower_case(one_form('medium')) }} as medium,
        channel
    from {{ ref('channel_rules') }}
    where is_enabled

),

matching_rules as (

    select
        pairs.source,
        pairs.medium,
        channel_rules.channel as channel_name,
        channel_rules.rule_order,
        row_number() over (
            partition by pairs.source, pairs.medium
            order by channel_rules.rule_order
        ) as rule_rank
    from pairs
    inner join channel_rules
        on (
            channel_rules.source is null
            or case channel_rules.match
                when 'exact' then pairs.source = channel_rules.source
                else {{ has_words('pairs.source', 'channel_rules.source') }}
            end
        )
        and (
            channel_rules.medium is null
            or case channel_rules.match
                when 'exact' then pairs.medium = channel_rules.medium
                else {{ has_words('pairs.medium', 'channel_rules.medium') }}
            end
        )

)

select
    source,
    medium,
    channel_name,
    rule_order
from matching_rules
where rule_rank = 1
