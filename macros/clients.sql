{# R19: what is shown where nothing is known. #}
{% macro client_name(name) -%}
    coalesce({{ name }}, 'неизвестно')
{%- endmacro %}

{% macro client_location(location) -%}
    coalesce({{ location }}, '(undefined)')
{%- endmacro %}
