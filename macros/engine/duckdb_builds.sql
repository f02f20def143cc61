{#
The ledger of builds. Every dbt command that changes tables opens an entry. It closes the entry as passed only if everything was
built and tested. Publication looks at the last entry, no matter who ran dbt.
#}
{% macro record_build_start() %}
    {% if is_recorded_here() %}
        insert into raw.builds (build_id, started_at, outcome, last_load_id, data_through, is_full, reason, settings, fingerprint)
        select
            '{{ invocation_id }}',
            {# The start orders builds, so it is later than all others even if the clock was set back. #}
            greatest(get_current_timestamp(), (select max(started_at) + to_microseconds(1) from raw.builds)),
            'running',
            (select max(load_id) from raw.loads),
            (select {{ last_loaded_day() }} from raw.loads where outcome = 'loaded' and superseded_by is null),
            {{ flags.FULL_REFRESH }},
            nullif('{{ env_var('BUILD_REASON', '') | replace("'", "''") }}', ''),
            cast(nullif('{{ env_var('BUILD_SETTINGS', '') | replace("'", "''") }}', '') as json),
            nullif('{{ env_var('BUILD_FINGERPRINT', '') }}', '')
    {% endif %}
{% endmacro %}

{# Whether the ledger is kept by these hooks: not where the pipeline keeps it, as it does for builds by another engine (BUILD_OF_OTHER_ENGINE). #}
{% macro is_recorded_here() %}
    {{ return(execute and target.type == 'duckdb' and not env_var('BUILD_OF_OTHER_ENGINE', '') and flags.WHICH in ('build', 'run', 'seed')) }}
{% endmacro %}

{# A build of changes needs less memory than the profile allows, and is limited to that. #}
{% macro limit_memory() %}
    {% if execute and target.type == 'duckdb' and env_var('BUILD_MEMORY', '') %}
        set memory_limit = '{{ env_var('BUILD_MEMORY') }}';
        set block_allocator_memory = '{{ env_var('BUILD_MEMORY') }}'
    {% endif %}
{% endmacro %}

{% macro record_build_end(results) %}
    {% if is_recorded_here() %}
        {% set passed = [] %}
        {% set failed = [] %}
        {% for result in results %}
            {% do (passed if result.status in ('success', 'pass', 'warn') else failed).append(result.node.unique_id) %}
        {% endfor %}
        {% set left_out = [] %}
        {% for node in graph.nodes.values() if node.resource_type in ('model', 'seed', 'test') and node.config.enabled and node.unique_id not in passed %}
            {# Only a full build loads and tests seeds, creates views that are the same in every build, and runs tests of all rows. #}
            {% if flags.FULL_REFRESH or not ((node.attached_node or node.unique_id).startswith('seed.') or 'static_view' in node.tags or 'full_build' in node.tags) %}
                {% do left_out.append(node.unique_id) %}
            {% endif %}
        {% endfor %}
        update raw.builds
        set finished_at = greatest(get_current_timestamp(), started_at), outcome = '{{ 'failed' if failed else 'partial' if left_out else 'passed' }}'
        where build_id = '{{ invocation_id }}'
    {% endif %}
{% endmacro %}

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

{# A model's statements before each of its parts; of a model that is made at once, an empty one. #}
{% macro settings_of_parts(compiled_code) -%}
    {%- set statements = [] -%}
    {%- if "getvariable('" in compiled_code -%}
        {%- for first_load, next_load in parts_of_build() -%}
            {%- do statements.append(
                "set variable part = " ~ loop.index0 ~ "; set variable first_load_of_part = " ~ first_load ~ "::bigint; "
                ~ "set variable first_load_after_part = " ~ next_load ~ "::bigint;"
            ) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(statements or ['']) }}
{%- endmacro %}

{# The table to which a Python model writes its rows, as it has its own connection. Replaces what a crash may have left. #}
{% macro python_relation() -%}
    {{ make_intermediate_relation(this.incorporate(type='table')) }}
{%- endmacro %}

{% macro python_model() -%}
{{ compiled_code }}


def materialize(given, connection):
    from pipeline.python_models import computed_by_duckdb

    connection.register("rows_of_model", computed_by_duckdb(given))
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
