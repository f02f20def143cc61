{# R9: the last loaded day, from live loads. Costs of a day don't show that its touches and contacts are there, so they don't count. #}
{% macro last_loaded_day() -%}
    max(case when table_name in ('touches', 'contacts') then load_day end)
{%- endmacro %}

{#
The ledger of builds. Every dbt command that changes tables opens an entry. It closes the entry as passed only if everything was
built and tested. Publication looks at the last entry, no matter who ran dbt.
#}
{% macro record_build_start() %}
    {% if execute and flags.WHICH in ('build', 'run', 'seed') %}
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

{# A build of changes needs less memory than the profile allows, and is limited to that. #}
{% macro limit_memory() %}
    {% if execute and env_var('BUILD_MEMORY', '') %}
        set memory_limit = '{{ env_var('BUILD_MEMORY') }}';
        set block_allocator_memory = '{{ env_var('BUILD_MEMORY') }}'
    {% endif %}
{% endmacro %}

{% macro record_build_end(results) %}
    {% if execute and flags.WHICH in ('build', 'run', 'seed') %}
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
