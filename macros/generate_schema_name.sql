{# Schemas are called exactly raw, staging, intermediate and marts, so that an asset's key is its schema and name. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}
