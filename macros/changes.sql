{#
How a build finds what changed. Progress counts in loads, and publication acknowledges it: every load accepted or replaced since
the last published build is worked out again, however many builds ran in between.

Macros take the relations that they read as arguments, so that a model names all its parents itself.
#}

{# Whether this build works everything out again, whatever changed. #}
{% macro is_full_build() -%}
    {{ return(flags.FULL_REFRESH) }}
{%- endmacro %}

{# The first relation in a full build, else the second. #}
{% macro all_or_changed(everything, changed) -%}
    {{ everything if is_full_build() else changed }}
{%- endmacro %}

{#
A missing table that accumulates can't be made from changes. `load` runs a full build wherever one is due; this stops
anyone who dropped a table or runs dbt by hand.
#}
{% macro is_accumulated() -%}
    {%- if execute and not is_incremental() and not is_full_build() -%}
    {{ exceptions.raise_compiler_error(this ~ " is missing and can't be made from changes: build everything with --full-refresh") }}
    {%- endif -%}
    {{ return(is_incremental()) }}
{%- endmacro %}

{# Where a row is stored in its table, for as long as nothing is changed there. #}
{% macro row_id() -%}
    rowid
{%- endmacro %}

{#
A table as the build before left it, read before this build replaces or extends it; no rows if everything is worked out again.
The columns are those of the model that makes it. With `row_ids`, a column `row_id` says where each row is stored.
#}
{% macro previous(relation, row_ids=false) -%}
    {%- if relation.is_cte -%}
    (select *{{ ', row_number() over () as row_id' if row_ids }} from {{ relation }})
    {%- elif execute and not is_full_build() and adapter.get_relation(relation.database, relation.schema, relation.identifier) -%}
    (select *{{ ', ' ~ row_id() ~ ' as row_id' if row_ids }} from {{ relation }})
    {%- else -%}
    {%- set columns = (graph.get('nodes', {}).get('model.' ~ project_name ~ '.' ~ relation.identifier) or {}).get('columns', {}) -%}
    (
        select
            {%- for column in columns.values() %}
            cast(null as {{ column.data_type }}) as {{ column.name }},
            {%- endfor %}
            cast(null as bigint) as row_id
        where false
    )
    {%- endif -%}
{%- endmacro %}

{# Loads whose rows an append-only table does not hold yet. #}
{% macro loads_missing_in(relation, loads) -%}
    select load_id
    from {{ loads }}
    where outcome = 'loaded'
    {%- if is_incremental() %} and load_id > (select coalesce(max(load_id), 0) from {{ relation }}){% endif %}
{%- endmacro %}

{# The loader drops replaced rows once a build that knows the replacement is published; what was derived from them goes too. #}
{% macro drop_replaced_versions(relation, loads, last_publication) -%}
    {%- if is_accumulated() -%}
    delete from {{ relation }}
    where load_id in (
        select loads.load_id
        from {{ loads }} as loads
        where loads.superseded_by <= (select last_load_id from {{ last_publication }})
    )
    {%- endif -%}
{%- endmacro %}

{# Takes the rows that this build works out again out of an accumulating table; the same transaction puts them back. #}
{% macro drop_affected_contacts(relation, contact_id, affected_contacts) -%}
    {%- if is_accumulated() -%}
    delete from {{ relation }}
    where {{ contact_id }} in (select contact_id from {{ affected_contacts }})
    {%- endif -%}
{%- endmacro %}

{% macro drop_changed_records(relation, changed_records) -%}
    {%- if is_accumulated() -%}
    delete from {{ relation }}
    where record_key in (select record_key from {{ changed_records }})
    {%- endif -%}
{%- endmacro %}

{% macro drop_affected_chains(relation, affected_contacts, affected_identities) -%}
    {%- if is_accumulated() -%}
    delete from {{ relation }}
    where contact_id in (select contact_id from {{ affected_contacts }})
        or cluster_key in (select identity_key from {{ affected_identities }})
    {%- endif -%}
{%- endmacro %}

{#
Edges are taken out by the row ids under which they were found, which reads far less than looking for their keys. Rows stay where
they are except when a checkpoint closes the gaps that a killed build left. If one has moved, all are found by their keys.
#}
{% macro drop_affected_clusters(relation, affected_edges) -%}
    {%- if is_accumulated() -%}
    {%- set moved_edges -%}
        select row_id, record_number, {{ hash_bucket('identifier_key') }} from {{ affected_edges }}
        except all
        select {{ row_id() }}, record_number, identifier_bucket from {{ relation }}
        where {{ row_id() }} in (select row_id from {{ affected_edges }})
        limit 1
    {%- endset -%}
    delete from {{ relation }}
    {% if execute and run_query(moved_edges).rows | length == 0 -%}
    where {{ row_id() }} in (select row_id from {{ affected_edges }})
    {%- else -%}
    where (record_number, identifier_key) in (select (record_number, identifier_key) from {{ affected_edges }})
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}

{# What a delivered row says, without where and when it was delivered. #}
{% macro what_a_row_says(table) -%}
    {{ table }}.* exclude (load_id, file_name, row_number, record_number)
{%- endmacro %}

{#
Versions that may be of an affected identity: few of very many, so they are found by a bucket of its hash and by row id (see
`are_among`). Some others come along: those of the same bucket, and those with the same row id in the other table.
#}
{% macro perhaps_of_affected_identities(versions, affected_identities) -%}
    {%- if is_full_build() -%}
    true
    {%- elif versions.is_cte -%}
    identity_key in (select identity_key from {{ affected_identities }})
    {%- else -%}
    row_id in (
        select row_id
        from {{ versions }}
        where identity_bucket in (select {{ hash_bucket('identity_key') }} from {{ affected_identities }})
    )
    and identity_bucket is not null
    {%- endif -%}
{%- endmacro %}

{# All versions of the records of which some version, old or new, is of an affected identity. #}
{% macro of_affected_records(versions, affected_identities, changed_records) -%}
    {%- if not is_full_build() -%}
    where record_key in (
        select record_key from {{ versions }} where identity_key in (select identity_key from {{ affected_identities }})
        union all
        select record_key from {{ changed_records }}
    )
    {%- endif -%}
{%- endmacro %}

{#
Few rows of a stored table, by their numbers. For so many DuckDB uses no index; a filter on numbers passes one row in two hundred,
one on row ids passes none of the others, so that wide columns are read only where they are needed.
(Rows of a unit test are not stored, so they have no row id.)
#}
{% macro are_among(table, wanted) -%}
    {%- if is_full_build() or table.is_cte -%}
    record_number in (select record_number from {{ wanted }})
    {%- else -%}
    {{ row_id() }} in (
        select {{ row_id() }}
        from {{ table }}
        where record_number in (select record_number from {{ wanted }})
            and load_id in (select load_id from {{ wanted }})
    )
    {%- endif -%}
{%- endmacro %}

{#
Counts are brought up to date by the chains that changed, if they count the chains as they were: if the build before passed.
A build that was killed may have changed the chains and not yet the counts. Then all chains are counted.
#}
{% macro is_counted_before(builds) -%}
    {%- if not execute or is_full_build() -%}{{ return(false) }}{%- endif -%}
    {%- set previous_build -%}
        select outcome from {{ builds }}
        where build_id <> '{{ invocation_id }}'
        order by started_at desc
        limit 1
    {%- endset -%}
    {%- set found = run_query(previous_build).rows -%}
    {{ return(found | length > 0 and found[0][0] == 'passed') }}
{%- endmacro %}

{# The chains that the counts lack, or have too many; all chains where there are no counts to go on from. #}
{% macro uncounted_chains(chains, chain_changes, is_counted) -%}
    {%- if is_counted -%}
    select * from {{ chain_changes }}
    {%- else -%}
    select
        contact_id is not null as led_to_contact,
        brand_id,
        channels,
        1 as change
    from {{ chains }}
    {%- endif -%}
{%- endmacro %}

{# Which rows a test looks at: of a table that accumulates, those that this build replaced; else all. #}
{% macro is_affected(contact_id, affected_contacts) -%}
    {%- if contact_id -%}
    {{ contact_id }} in (select contact_id from {{ affected_contacts }})
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}
