{#
R11: the origin of a touch, that is, what it says about where it came from, as JSON: its widget, its landing page's origin (see
`origin_of_landing_page`), referrer and five tags. `int_origins` names the channel of each distinct origin. So this leaves out what
can't change the channel: paths, hashes, parameters that aren't tags, and the values of click ids. It shortens only URLs that are well
formed; any other goes to `int_origins` whole, which reads it with care. Plain Jinja, as reading.sql is, so that tests can compare shortened
and whole URLs.
#}
{% macro origin(touches, landing_page_origin) -%}
    {{ json_of_texts(list_of([
        touches ~ '.widget_id',
        landing_page_origin,
        origin_of_referrer(touches ~ '.referrer'),
        touches ~ '.utm_source',
        touches ~ '.utm_medium',
        touches ~ '.utm_campaign',
        touches ~ '.utm_term',
        touches ~ '.utm_content',
    ])) }}
{%- endmacro %}

{#
A URL, without all but the first character of a click id's value at its end. Reading URLs is slow, and this leaves few distinct ones,
as click ids are what makes them differ.
#}
{% macro short_landing_page(url, click_id_parameters) -%}
    {{ replaced(url, "(?i)([?&](?:" ~ (click_id_parameters or ['yclid']) | join('|') ~ ")=[A-Za-z0-9])[A-Za-z0-9_-]*\\z", "\\1") }}
{%- endmacro %}

{# The site, and from the query the tags and click ids. The value of a click id is kept only if it may be no value. #}
{% macro origin_of_landing_page(url, click_id_parameters) -%}
    {%- set parameter -%} [A-Za-z0-9_.~\[\]-]*(?:=[^&;?#\\\s"'`«»“”„‘’‹›\p{Cf}]*)? {%- endset -%}
    {%- set tag -%} (?:utm_source|utm_medium|utm_campaign|utm_term|utm_content)(?:\[\])?=[^&]+ {%- endset -%}
    {%- set click_id -%} (?:{{ (click_id_parameters or ['yclid']) | join('|') }})(?:\[\])?=(?:[A-Za-z0-9]|[^&]+) {%- endset -%}
    {#- No capturing groups: they take several times as long. -#}
    {%- set well_formed -%}
        (?is)https?://[\p{L}\p{N}.-]+(?::[0-9]+)?(?:/[^?#\\]*)?(?:\?{{ parameter }}(?:&{{ parameter }})*)?(?:#.*)?
    {%- endset -%}
    {%- set query -%} split_part(split_part({{ url }}, '#', 1), '?', 2) {%- endset -%}
    {%- set parameters = split("case when " ~ query ~ " like '%/' then substr(" ~ query ~ ", 1, length(" ~ query ~ ") - 1) else " ~ query ~ " end", "&") -%}
    {%- set kept = elements_where(each_element(parameters, match_in("element", "(?i)^(?:" ~ tag ~ "|" ~ click_id ~ ")")), "element <> ''") -%}
    case
        when {{ matches(url, well_formed) }}
            then {{ match_in(url, "^[^/]*//[^/?#]*") }} || case
                when contains({{ url }}, '?') then '?' || {{ joined(kept, "'&'") }} || '&'
                else ''
            end
        else {{ url }}
    end
{%- endmacro %}

{% macro origin_of_referrer(url) -%}
    {%- set well_formed -%} (?is)(?:https?|android-app)://[\p{L}\p{N}._-]+(?::[0-9]+)?(?:[/?#].*)? {%- endset -%}
    case
        when {{ matches(url, well_formed) }} then {{ match_in(url, "^[^/]*//[^/?#]*") }}
        else {{ url }}
    end
{%- endmacro %}

{# The parameters in the seed `click_ids`, which exists by the time that a model needs them. #}
{% macro click_id_parameters(click_ids) -%}
    {%- if not execute or click_ids.is_cte -%}{{ return([]) }}{%- endif -%}
    {{ return(run_query("select " ~ lower_case("parameter") ~ " from " ~ click_ids ~ " order by click_id_order").columns[0].values()) }}
{%- endmacro %}
