{#
How Spark stores a model's rows, on Iceberg. A table is replaced in one statement, which is one commit. What accumulates is changed on a
branch, by several statements, and shown in one commit, so that a build may die at any time. dbt-spark's own materializations would drop an
accumulating table before a full build.
#}
{% materialization table, adapter='spark', supported_languages=['sql', 'python'] -%}
    {{ run_hooks(pre_hooks) }}
    {% if model['language'] == 'python' %}
        {% call statement('main', language='python') %}{{ spark_python_model(false) }}{% endcall %}
    {% else %}
        {% do spark_replace_table() %}
    {% endif %}
    {{ run_hooks(post_hooks) }}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmaterialization %}

{# Accumulating tables: appends rows to what the pre-hooks have left. #}
{% materialization incremental, adapter='spark', supported_languages=['sql', 'python'] -%}
    {%- set is_appended = is_incremental() -%}
    {% do spark_begin_changes() if is_appended %}
    {{ run_hooks(pre_hooks) }}
    {% if model['language'] == 'python' %}
        {% call statement('main', language='python') %}{{ spark_python_model(is_appended) }}{% endcall %}
    {% elif is_appended %}
        {% call statement('main') -%}
        insert into {{ being_changed(this) }} by name
        {{ compiled_code }}
        {%- endcall %}
    {% else %}
        {% do spark_replace_table() %}
    {% endif %}
    {{ run_hooks(post_hooks) }}
    {% do spark_publish_changes() if is_appended %}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmaterialization %}

{% macro spark_execute(command) -%}
    {% call statement('command') %}{{ command }}{% endcall %}
{%- endmacro %}

{# A killed build may have left the branch. #}
{% macro spark_begin_changes() -%}
    {% do spark_execute("alter table " ~ this ~ " create or replace branch changes") %}
{%- endmacro %}

{% macro spark_publish_changes() -%}
    {% do spark_execute("call system.fast_forward('" ~ this ~ "', 'main', 'changes')") %}
    {% do spark_execute("alter table " ~ this ~ " drop branch changes") %}
{%- endmacro %}

{% macro spark_replace_table() -%}
    {%- set existing = load_cached_relation(this) -%}
    {% if existing is not none and not existing.is_table %}
        {% do adapter.drop_relation(existing) %}
    {% endif %}
    {% if config.get('contract').enforced %}
        {{ get_assert_columns_equivalent(compiled_code) }}
    {% endif %}
    {% call statement('main') -%}
        create or replace table {{ this }} using iceberg as
        {{ compiled_code }}
    {%- endcall %}
{%- endmacro %}

{# The pipeline writes seeds before dbt runs, read as they were checked. Here they only count as built. #}
{% materialization seed, adapter='spark' -%}
    {% call noop_statement('main', 'written') %}{% endcall %}
    {% do store_result('agate_table', response='written', agate_table=load_agate_table()) %}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmaterialization %}

{# dbt lets only a materialization itself submit Python, and no macro that it calls. `write_rows` is the pipeline's. #}
{% macro spark_python_model(is_appended) -%}
{{ compiled_code }}


dbt = dbtObj(spark.table)
write_rows(model(dbt, spark), "{{ being_changed(this) if is_appended else this }}", {{ is_appended }})
{%- endmacro %}

{# What a contract promises, in Spark's types. #}
{% macro spark__get_empty_schema_sql(columns) -%}
    select
        {%- for column in columns.values() %}
        cast(null as {{ type_of(column.data_type) }}) as {{ column.name }}{{ ',' if not loop.last }}
        {%- endfor %}
{%- endmacro %}

{# dbt-spark's own asks for each table what it is, one after another. #}
{% macro spark__list_relations_without_caching(relation) -%}
    {%- set found = [] -%}
    {%- for row in run_query('show tables in ' ~ relation.schema).rows -%}
        {%- do found.append([row[0], row[1], false, 'Provider: iceberg']) -%}
    {%- endfor -%}
    {%- for row in run_query('show views in ' ~ relation.schema).rows -%}
        {%- do found.append([row[0], row[1], false, 'Type: VIEW']) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
