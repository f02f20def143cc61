{#
Names schemas exactly raw, staging, intermediate and marts, so that an asset's key is its schema and name. The published file has one
schema for all.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema if target.name == 'published' else custom_schema_name or target.schema }}
{%- endmacro %}
