{#
A full build of more rows than memory has room for makes some tables in parts, one statement after another. Their models name what belongs
to the part: people, by the bucket of their key, and delivered rows, by their load. `replace_table` runs the statements, with the part in
variables. The pipeline sets BUILD_PARTS if one part isn't enough: for each the first load, and the first load after it.
#}
{% macro parts_of_build() -%}
    {{ return(fromjson(env_var('BUILD_PARTS', '[]')) if execute and is_full_build() else []) }}
{%- endmacro %}

{# Whether the build makes tables in parts. #}
{% macro is_in_parts() -%}
    {{ return(parts_of_build() | length > 1) }}
{%- endmacro %}
