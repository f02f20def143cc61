{#
Attribution: the models, each with the weight that it gives a touch among the touches of its contact. To add a model, add an entry
here. A weight is a whole number, not negative, and the same in every build, so that sums are exact whatever their order. It may use

    touch_position             1 for the earliest touch that the history keeps
    kept_touch_count           how many touches the history keeps
    last_non_direct_position   the position of the last touch that isn't direct (R12); null if all are
    half_lives_before_last     how long before the contact's last touch it happened, in half-lives
    removal_effect, shapley_value  the values of its channel in its brand. They change with every build, so `int_path_credits` computes
                               the credits by these models (`is_data_driven`) anew, once per path
#}
{% macro attribution_models() -%}
    {%- set first_share = (var('position_based_first_share') | float * 1000000) | round | int -%}
    {#- Rounds the two shares together, so that rounding never leaves the touches between a millionth less than nothing. -#}
    {%- set last_share = ((var('position_based_first_share') | float + var('position_based_last_share') | float) * 1000000) | round | int - first_share -%}
    {{ return({
        'first_touch': {'weight': "case when touch_position = 1 then 1 else 0 end"},
        'last_touch': {'weight': "case when touch_position = kept_touch_count then 1 else 0 end"},
        'last_non_direct': {'weight': "case when touch_position = coalesce(last_non_direct_position, kept_touch_count) then 1 else 0 end"},
        'linear': {'weight': "1"},
        'position_based': {'weight':
            "case"
            " when kept_touch_count = 1 then 1"
            " when touch_position = 1 then " ~ first_share ~ " * greatest(kept_touch_count - 2, 1)"
            " when touch_position = kept_touch_count then " ~ last_share ~ " * greatest(kept_touch_count - 2, 1)"
            " else " ~ (1000000 - first_share - last_share) ~
            " end"},
        'time_decay': {'weight': "round(" ~ parts_of_one() ~ " * power(0.5, half_lives_before_last))"},
        'markov': {'weight': "removal_effect", 'is_data_driven': true},
        'shapley': {'weight': "shapley_value", 'is_data_driven': true},
    }) }}
{%- endmacro %}

{# The names of all models, of the data-driven ones, or of the others. #}
{% macro attribution_model_names(is_data_driven=none) -%}
    {%- set names = [] -%}
    {%- for name, model in attribution_models().items() -%}
        {%- if is_data_driven is none or is_data_driven == model.get('is_data_driven', false) -%}{%- do names.append(name) -%}{%- endif -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{# The expression once per model, as columns, with the model's name in place of MODEL. #}
{% macro of_each_model(expression, is_data_driven=none) -%}
    {%- for model in attribution_model_names(is_data_driven) %}
        {{ expression | replace('MODEL', model) }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# Credits and channel values are counted in trillionths, so that they are whole numbers until they are shown. #}
{% macro parts_of_one() -%}
    1000000000000
{%- endmacro %}

{# The share of one whole number in another, in trillionths, by exact division; the rest is cut off. #}
{% macro parts_of_share(count, total) -%}
    ({{ whole_division(whole(count) ~ ' * ' ~ parts_of_one(), total) }})
{%- endmacro %}

{#
Attribution: a query of touches with their credits, one column per model. A credit is the touch's share in the sum of its history's
weights, cut off after the twelfth decimal; what is then missing to exactly 1 goes to the last touch. Where all weights are 0, all
touches weigh the same. The column `history` says which touches are of one history.
#}
{% macro with_credits(touches, models, history='contact_id') -%}
    {%- set weights = attribution_models() -%}
    {%- set steps = [] -%}
    {%- for model in models -%}{%- do steps.extend([model ~ '_weight', model ~ '_total', model ~ '_parts']) -%}{%- endfor %}
    select
        {{ all_but(steps) }},
        {%- for model in models %}
        {{ as_share(
            model ~ "_parts + case when touch_position = kept_touch_count then " ~ parts_of_one()
            ~ " - sum(" ~ model ~ "_parts) over (partition by " ~ history ~ ") else 0 end"
        ) }} as {{ model }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            *,
            {%- for model in models %}
            case
                when {{ model }}_total > 0 then {{ parts_of_share(model ~ '_weight', model ~ '_total') }}
                else {{ whole_division(parts_of_one(), 'kept_touch_count') }}
            end as {{ model }}_parts{{ ',' if not loop.last }}
            {%- endfor %}
        from (
            select
                *,
                {%- for model in models %}
                sum({{ model }}_weight) over (partition by {{ history }}) as {{ model }}_total{{ ',' if not loop.last }}
                {%- endfor %}
            from (
                select
                    *,
                    {%- for model in models %}
                    {{ whole(weights[model].weight) }} as {{ model }}_weight{{ ',' if not loop.last }}
                    {%- endfor %}
                from {{ touches }}
            ) as weighed
        ) as totalled
    ) as shared
{%- endmacro %}
