{# R19: what a card or journal shows for an unknown name, and an unknown location. #}
{% macro client_name(name) -%}
    coalesce({{ name }}, 'неизвестно')
{%- endmacro %}

{% macro client_location(location) -%}
    coalesce({{ location }}, '(undefined)')
{%- endmacro %}
