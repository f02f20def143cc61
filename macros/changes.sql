{#
R27: how a build finds what changed. Work counts as done once it is published: a build works out again whatever loads were accepted
or replaced since the last published build, however many builds ran in between.

Macros take the relations that they read as arguments, so that a model names all its parents itself.
#}

{# Whether this build works everything out again, whatever has changed. #}
{% macro is_full_build() -%}
    {{ return(flags.FULL_REFRESH) }}
{%- endmacro %}

{# The first relation in a full build, else the second. #}
{% macro all_or_changed(everything, changed) -%}
    {{ everything if is_full_build() else changed }}
{%- endmacro %}

{#
Whether this build goes on from an accumulating table. A missing table can't be built from changes. `load` runs a full build
wherever one is due; this error stops a build after a table was dropped, or when dbt is run by hand.
#}
{% macro is_accumulated() -%}
    {%- if execute and not is_incremental() and not is_full_build() -%}
    {{ exceptions.raise_compiler_error(this ~ " is missing and can't be made from changes: build everything with --full-refresh") }}
    {%- endif -%}
    {{ return(is_incremental()) }}
{%- endmacro %}

{#
A value by which a row of a raw table is found again later in the build: its row id. In a full build the record number is used, as a
verification's raw tables are views; in a unit test, as rows aren't stored.
#}
{% macro stored_row_id(table) -%}
    {{ 'record_number' if is_full_build() or table.is_cte else row_id() }}
{%- endmacro %}

{#
A table as the previous build left it, read before this build replaces or extends it; no rows in a full build. The columns are those
of the model of the same name.
#}
{% macro previous(relation) -%}
    {%- if relation.is_cte or (execute and not is_full_build() and adapter.get_relation(relation.database, relation.schema, relation.identifier)) -%}
    {{ relation }}
    {%- else -%}
    {%- set columns = (graph.get('nodes', {}).get('model.' ~ project_name ~ '.' ~ relation.identifier) or {}).get('columns', {}) -%}
    (
        select
            {%- for column in columns.values() %}
            cast(null as {{ type_of(column.data_type) }}) as {{ column.name }}{{ ',' if not loop.last }}
            {%- endfor %}
        where false
    )
    {%- endif -%}
{%- endmacro %}

{#
The rows that an append-only table doesn't hold yet. In a full build these are all: raw has rows of accepted loads only. (DuckDB would
think that a condition leaves few of them, and begin joins from the wrong side.)
#}
{% macro are_missing_in(relation, loads) -%}
    {%- if is_incremental() -%}
    load_id in (
        select load_id
        from {{ loads }}
        where outcome = 'loaded' and load_id > (select coalesce(max(load_id), 0) from {{ being_changed(relation) }})
    )
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}

{# The loader drops replaced rows once a build that knows the replacement is published. What was derived from them is dropped here. #}
{% macro drop_replaced_versions(relation, loads, last_publication) -%}
    {%- if is_accumulated() -%}
    delete from {{ being_changed(relation) }}
    where load_id in (
        select loads.load_id
        from {{ loads }} as loads
        where loads.superseded_by <= (select last_load_id from {{ last_publication }})
    )
    {%- endif -%}
{%- endmacro %}

{# Deletes the rows that this build works out again from an accumulating table; the same transaction inserts them again. #}
{% macro drop_affected_contacts(relation, contact_id, affected_contacts) -%}
    {%- if is_accumulated() -%}
    delete from {{ being_changed(relation) }}
    where {{ contact_id }} in (select contact_id from {{ affected_contacts }})
    {%- endif -%}
{%- endmacro %}

{% macro drop_changed_records(relation, changed_records) -%}
    {%- if is_accumulated() -%}
    delete from {{ being_changed(relation) }}
    where record_key in (select record_key from {{ changed_records }})
    {%- endif -%}
{%- endmacro %}

{% macro drop_affected_chains(relation, affected_contacts, affected_identities) -%}
    {%- if is_accumulated() -%}
    delete from {{ being_changed(relation) }}
    where contact_id in (select contact_id from {{ affected_contacts }})
        or cluster_key in (select identity_key from {{ affected_identities }})
    {%- endif -%}
{%- endmacro %}

{# Deletes the identity edges of whole clusters. #}
{% macro drop_affected_clusters(relation, affected_edges) -%}
    {%- if is_accumulated() -%}
    delete from {{ being_changed(relation) }}
    where cluster_number in (select cluster_number from {{ affected_edges }})
    {%- endif -%}
{%- endmacro %}

{# The columns of a delivered row that say something, without those of where and when it was delivered. #}
{% macro what_a_row_says(table) -%}
    {{ all_but(['load_id', 'file_name', 'row_number', 'record_number'], table) }}
{%- endmacro %}

{#
Versions that may be of an affected identity. They are few of very many, so they are found by the bucket of the identity and by row
id (see `are_among`). Some others come along: those in the same bucket, and those with the same row id in the other table.
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

{# All versions of each record that has a version, old or new, of an affected identity. #}
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
The condition that selects a few rows of a stored table by their record numbers. For that many numbers DuckDB uses no index. A filter
on record numbers also lets one other row in two hundred pass; a filter on row ids lets none pass, so that wide columns are read only
where they are needed. (Rows of a unit test are not stored and have no row id; nor do rows of some engines.)
#}
{% macro are_among(table, wanted) -%}
    {%- if is_full_build() or table.is_cte or row_id() == 'record_number' -%}
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

{# Like `are_among`, but true in a full build, which wants nearly all rows. An inner join with the wanted rows must follow. #}
{% macro may_be_among(table, wanted) -%}
    {{ 'true' if is_full_build() else are_among(table, wanted) }}
{%- endmacro %}

{#
Whether the counts of chains can be updated with the chains that changed: only if the previous build passed, so that they count the
chains as they were. A killed build may have changed the chains but not yet the counts; then all chains are counted again.
#}
{% macro is_counted_before(builds) -%}
    {%- if not execute or is_full_build() -%}{{ return(false) }}{%- endif -%}
    {%- set previous_build -%}
        select outcome from {{ builds }}
        where build_id <> '{{ env_var('BUILD_OF_OTHER_ENGINE', '') or invocation_id }}'
        order by started_at desc
        limit 1
    {%- endset -%}
    {%- set found = run_query(previous_build).rows -%}
    {{ return(found | length > 0 and found[0][0] == 'passed') }}
{%- endmacro %}

{# The chains to add to the counts or take out of them; all chains where there are no counts to start from. Very many are alike. #}
{% macro uncounted_chains(chains, chain_changes, is_counted) -%}
    {%- if is_counted -%}
    select * from {{ chain_changes }}
    {%- else -%}
    select
        contact_id is not null as led_to_contact,
        brand_id,
        channels,
        count(*) as change
    from {{ chains }}
    group by contact_id is not null, brand_id, channels
    {%- endif -%}
{%- endmacro %}

{# The rows that a test looks at: in an accumulating table those that this build replaced, else all. #}
{% macro is_affected(contact_id, affected_contacts) -%}
    {%- if contact_id -%}
    {{ contact_id }} in (select contact_id from {{ affected_contacts }})
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}
