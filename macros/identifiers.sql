{#
R15: what ties nothing, as one row of lists: the seed `placeholders`, and by kind the model `stg_ignored_identifiers`. Planning takes
less time for lists than for as many sub-selects as there are identifiers.
#}
{% macro lists_of_ignored(placeholders, ignored_identifiers) -%}
    select
        {%- for identifier_kind in ['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id', 'phone', 'email'] %}
        {{ all_values('identifier', "identifier_kind = '" ~ identifier_kind ~ "'") }} as {{ identifier_kind }},
        {%- endfor %}
        (select {{ all_values(lower_case('placeholder')) }} from {{ placeholders }}) as placeholder
    from {{ ignored_identifiers }}
{%- endmacro %}

{#
R15: an identifier in the form in which it is compared (R13), or null if it ties nothing. `ignored` has the row of `lists_of_ignored`.
A valid phone or email address is never a placeholder by its form.
#}
{% macro identifying(identifier_kind, identifier, ignored) -%}
    {%- set compared = google_client_id(identifier) if identifier_kind == 'google_client_id' else identifier -%}
    {%- set looked_up = lower_case(identifier) if identifier_kind in ('phone', 'email') else placeholder_form(identifier, ignored ~ '.placeholder') -%}
    case
        when not {{ has_element(ignored ~ '.placeholder', looked_up) }}
            and not {{ has_element(ignored ~ '.' ~ identifier_kind, compared) }}
            then {{ compared }}
    end
{%- endmacro %}

{# R13: one row per record and identifier that it carries. #}
{% macro identifiers_of(records, columns) -%}
    {%- set kinds = [] -%}
    {%- for identifier_kind in columns -%}{%- do kinds.append("'" ~ identifier_kind ~ "'") -%}{%- endfor -%}
    select
        record_number,
        cluster_key,
        identifier_kind,
        identifier
    from (
        select
            record_number,
            cluster_key,
            {{ rows_of({'identifier_kind': list_of(kinds), 'identifier': list_of(columns.values())}) }}
        from {{ records }}
    )
    where identifier is not null
{%- endmacro %}

{# R13: one row per cluster, kind and identifier, with how many records carry it. #}
{% macro counts_of_identifiers(records, columns) -%}
    {%- for identifier_kind, column in columns.items() %}
    select
        cluster_key,
        '{{ identifier_kind }}' as identifier_kind,
        {{ column }} as identifier,
        sum(record_count) as record_count
    from {{ records }}
    where {{ column }} is not null
    group by cluster_key, {{ column }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor -%}
{%- endmacro %}

{#
The key of an identifier includes its kind and brand (R13). An identity is all the identifiers that a record carries; a single
identifier's identity has the identifier's own key.
#}
{% macro record_key(record_kind, record_id) -%}
    {{ key_of("concat('" ~ record_kind ~ " ', " ~ record_id ~ ")") }}
{%- endmacro %}

{% macro identifier_key(identifier_kind, brand_id, identifier) -%}
    {{ key_of("concat('" ~ identifier_kind ~ " ', length(" ~ brand_id ~ "), ' ', " ~ brand_id ~ ", ' ', " ~ identifier ~ ")") }}
{%- endmacro %}

{# Attribution: the key of a brand's sequence of channels. #}
{% macro path_key(brand_id, channels) -%}
    {{ key_of(set_key(brand_id, channels)) }}
{%- endmacro %}

{% macro identifier_keys(brand_id, identifier_kinds) -%}
    {%- set keys = [] -%}
    {%- for identifier_kind in identifier_kinds -%}
        {%- do keys.append("case when " ~ identifier_kind ~ " is not null then " ~ identifier_key(identifier_kind, brand_id, identifier_kind) ~ " end") -%}
    {%- endfor -%}
    {{ elements_where(list_of(keys), 'element is not null') }}
{%- endmacro %}

{% macro identity_key(identifier_keys) -%}
    {{ key_of_keys(identifier_keys) }}
{%- endmacro %}
