{#
How DuckDB stores a model's rows. dbt's own materializations fit any engine: they create a second table, compare columns and rename
tables. Each step goes through dbt and takes longer than most of these models take to compute. DuckDB replaces a table, or appends to
it, in one statement. These create no grants, indexes or comments, as the project has none.
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

{# Accumulating tables: appends rows to what the pre-hooks have left. #}
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

{# Replaces the table in one statement, as a model may read its own table as it was; or in parts (`parts.sql`). #}
{% macro replace_table() -%}
    {%- set parts = settings_of_parts(compiled_code) -%}
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
            {% for part in parts %}
                {{ part }}
            insert into {{ this }} {{ get_column_names() }} ({{ get_select_subquery(compiled_code) }});
            {% endfor %}
        {% else %}
            {% for part in parts %}
                {{ part }}
            {{ "create or replace table " ~ this ~ " as" if loop.first else "insert into " ~ this ~ " by name" }} ({{ compiled_code }});
            {% endfor %}
        {% endif %}
    {%- endcall %}
{%- endmacro %}

{# The table to which a Python model writes its rows, as it has its own connection. Replaces what a crash may have left. #}
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
Reads a seed in the same dialect in which pipeline/seeds.py has checked it. dbt's own macro lets DuckDB guess the dialect, which may
differ from file to file, and breaks at a quote in the project's path.
#}
{% macro duckdb__load_csv_rows(model, agate_table) %}
    {% set file = adapter.get_seed_file_path(model) | replace("'", "''") %}
    {% set sql %}
        copy {{ this.render() }} from '{{ file }}' (format csv, header, auto_detect false, delimiter ',', quote '"', escape '"')
    {% endset %}
    {% do adapter.add_query(sql, abridge_sql_log=True) %}
    {{ return(sql) }}
{% endmacro %}
