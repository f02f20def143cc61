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

{# Whether a person belongs to the part, by a bucket: any whole number. #}
{% macro is_in_part(bucket) -%}
    {%- if is_in_parts() -%}{{ bucket }} % {{ parts_of_build() | length }} = getvariable('part'){%- else -%}true{%- endif -%}
{%- endmacro %}

{# Whether a delivered row belongs to the part. #}
{% macro is_loaded_in_part(load_id) -%}
    {%- if is_in_parts() -%}
    {{ load_id }} >= getvariable('first_load_of_part') and {{ load_id }} < getvariable('first_load_after_part')
    {%- else -%}true{%- endif -%}
{%- endmacro %}

{# The bucket of a text, which is the same for equal texts of a build. #}
{% macro text_bucket(text) -%}
    hash({{ text }})
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
