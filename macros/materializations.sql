{#
How DuckDB keeps what a model says. dbt's own ways fit any engine: they make a table aside, look at its columns and move it by
renames, each a round through dbt that takes longer than most of these tables take to be worked out. DuckDB replaces a table, or
appends to it, in one statement. Grants, indexes and comments aren't made: the project has none.
#}
{% materialization table, adapter='duckdb', supported_languages=['sql', 'python'] -%}
    {% do run_hooks(pre_hooks, inside_transaction=False) %}
    {% do run_hooks(pre_hooks, inside_transaction=True) %}
    {% if model['language'] == 'python' %}
        {% call statement('python', language='python') %}{{ python_model() }}{% endcall %}
    {% endif %}
    {% do replace_table() %}
    {% do run_hooks(post_hooks, inside_transaction=True) %}
    {% do adapter.commit() %}
    {% do run_hooks(post_hooks, inside_transaction=False) %}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmaterialization %}

{# What accumulates: rows are appended to what the hooks before have left. #}
{% materialization incremental, adapter='duckdb', supported_languages=['sql', 'python'] -%}
    {% do run_hooks(pre_hooks, inside_transaction=False) %}
    {% do run_hooks(pre_hooks, inside_transaction=True) %}
    {% if model['language'] == 'python' %}
        {% call statement('python', language='python') %}{{ python_model() }}{% endcall %}
    {% endif %}
    {% if is_incremental() %}
        {% call statement('main') -%}
            {% if model['language'] == 'python' %}
            insert into {{ this }} by name from {{ python_relation() }};
            drop table {{ python_relation() }}
            {% else %}
            insert into {{ this }} by name ({{ compiled_code }})
            {% endif %}
        {%- endcall %}
    {% else %}
        {% do replace_table() %}
    {% endif %}
    {% do run_hooks(post_hooks, inside_transaction=True) %}
    {% do adapter.commit() %}
    {% do run_hooks(post_hooks, inside_transaction=False) %}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{%- endmaterialization %}

{# In one statement, as a table may be worked out from what it was. #}
{% macro replace_table() -%}
    {%- set existing = load_cached_relation(this) -%}
    {% if existing is not none and not existing.is_table %}
        {% do adapter.drop_relation(existing) %}
    {% endif %}
    {% call statement('main') -%}
        {% if model['language'] == 'python' %}
            drop table if exists {{ this }};
            alter table {{ python_relation() }} rename to {{ this.include(database=false, schema=false) }}
        {% elif config.get('contract').enforced %}
            {{ get_assert_columns_equivalent(compiled_code) }}
            create or replace table {{ this }}
            {{ get_table_columns_and_constraints() }};
            insert into {{ this }} {{ get_column_names() }} ({{ get_select_subquery(compiled_code) }})
        {% else %}
            create or replace table {{ this }} as ({{ compiled_code }})
        {% endif %}
    {%- endcall %}
{%- endmacro %}

{# Where a Python model, which has a connection of its own, lays its rows. What a crash may have left is replaced. #}
{% macro python_relation() -%}
    {{ make_intermediate_relation(this.incorporate(type='table')) }}
{%- endmacro %}

{% macro python_model() -%}
{{ compiled_code }}


def materialize(rows, connection):
    connection.register("rows_of_model", rows)
    connection.execute("""create or replace table {{ python_relation() }} as from rows_of_model""")
    connection.unregister("rows_of_model")
{%- endmacro %}

{#
A seed is read as pipeline/seeds.py has checked it. dbt's own way lets DuckDB guess the dialect, which can be another for
every file, and breaks at a quote in the project's path.
#}
{% macro duckdb__load_csv_rows(model, agate_table) %}
    {% set file = adapter.get_seed_file_path(model) | replace("'", "''") %}
    {% set sql %}
        copy {{ this.render() }} from '{{ file }}' (format csv, header, auto_detect false, delimiter ',', quote '"', escape '"')
    {% endset %}
    {% do adapter.add_query(sql, abridge_sql_log=True) %}
    {{ return(sql) }}
{% endmacro %}
