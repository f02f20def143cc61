{#
What engines say differently. Models and other macros use only functions that engines have in common; they still rely on DuckDB's row ids
to find clusters. A new engine needs these macros under its own name in a file beside duckdb.sql, and materializations (duckdb_builds.sql).
Plain Jinja, as in the engines' files.

Patterns are those that RE2 and Java read alike: `\z` for the end, no look-around, no back-references.
#}

{# Text #}

{# Whether the pattern matches the whole text; letter case counts, and `.` is any character but a line feed. #}
{% macro matches(text, pattern) -%}{{ adapter.dispatch('matches', 'multichannel')(text, pattern) }}{%- endmacro %}

{# Whether the pattern matches anywhere. #}
{% macro has_match(text, pattern) -%}{{ adapter.dispatch('has_match', 'multichannel')(text, pattern) }}{%- endmacro %}

{# The first match, '' if there is none. #}
{% macro match_in(text, pattern) -%}{{ adapter.dispatch('match_in', 'multichannel')(text, pattern) }}{%- endmacro %}

{# The text with each match replaced; `\1` stands for what the first group matched. #}
{% macro replaced(text, pattern, by) -%}{{ adapter.dispatch('replaced', 'multichannel')(text, pattern, by) }}{%- endmacro %}

{# Each letter's simple lower case: one letter for one, whatever stands beside it. #}
{% macro lower_case(text) -%}{{ adapter.dispatch('lower_case', 'multichannel')(text) }}{%- endmacro %}

{% macro last_character(text) -%}{{ adapter.dispatch('last_character', 'multichannel')(text) }}{%- endmacro %}

{# The text without these characters at its ends. #}
{% macro trimmed(text, characters) -%}{{ adapter.dispatch('trimmed', 'multichannel')(text, characters) }}{%- endmacro %}

{# R11: text in the one Unicode form in which it is compared: NFC. #}
{% macro one_form(text) -%}{{ adapter.dispatch('one_form', 'multichannel')(text) }}{%- endmacro %}

{# R11, step 4: whether a text contains whole words; anything but a letter or digit of any script bounds a word. #}
{% macro has_words(text, words) -%}{{ adapter.dispatch('has_words', 'multichannel')(text, words) }}{%- endmacro %}

{# A list of texts as JSON. #}
{% macro json_of_texts(texts) -%}{{ adapter.dispatch('json_of_texts', 'multichannel')(texts) }}{%- endmacro %}

{# The list of texts in a JSON list of text; null if it is anything else. #}
{% macro texts_of_json(text) -%}{{ adapter.dispatch('texts_of_json', 'multichannel')(text) }}{%- endmacro %}

{# Lists #}

{% macro list_of(values) -%}{{ adapter.dispatch('list_of', 'multichannel')(values) }}{%- endmacro %}

{% macro split(text, separator) -%}{{ adapter.dispatch('split', 'multichannel')(text, separator) }}{%- endmacro %}

{# Aggregate: the values of rows, in any order; an empty list if there are none. #}
{% macro all_values(value, condition='true') -%}{{ adapter.dispatch('all_values', 'multichannel')(value, condition) }}{%- endmacro %}

{# Aggregate: the distinct values as a sorted list; null if there are none. #}
{% macro sorted_list(value) -%}{{ adapter.dispatch('sorted_list', 'multichannel')(value) }}{%- endmacro %}

{# Aggregate: the values of rows as one ordered list; null if there are none. #}
{% macro list_in_order(value, order, condition=none) -%}{{ adapter.dispatch('list_in_order', 'multichannel')(value, order, condition) }}{%- endmacro %}

{# Aggregate: the texts of rows, joined in order. #}
{% macro joined_in_order(value, separator, order) -%}{{ adapter.dispatch('joined_in_order', 'multichannel')(value, separator, order) }}{%- endmacro %}

{% macro sorted_and_distinct(values) -%}{{ adapter.dispatch('sorted_and_distinct', 'multichannel')(values) }}{%- endmacro %}

{% macro in_ascending_order(values) -%}{{ adapter.dispatch('in_ascending_order', 'multichannel')(values) }}{%- endmacro %}

{% macro smallest_of(values) -%}{{ adapter.dispatch('smallest_of', 'multichannel')(values) }}{%- endmacro %}

{# Null of no list. #}
{% macro length_of(values) -%}{{ adapter.dispatch('length_of', 'multichannel')(values) }}{%- endmacro %}

{# Null if the value is null. #}
{% macro has_element(values, value) -%}{{ adapter.dispatch('has_element', 'multichannel')(values, value) }}{%- endmacro %}

{# Whether a list has all elements of another. #}
{% macro has_elements(values, others) -%}{{ adapter.dispatch('has_elements', 'multichannel')(values, others) }}{%- endmacro %}

{# The elements for which a condition on `element` holds. #}
{% macro elements_where(values, condition) -%}{{ adapter.dispatch('elements_where', 'multichannel')(values, condition) }}{%- endmacro %}

{# What an expression of `element` gives for each. #}
{% macro each_element(values, expression) -%}{{ adapter.dispatch('each_element', 'multichannel')(values, expression) }}{%- endmacro %}

{# What an expression of FIRST and SECOND gives for the elements at the same place of two lists. #}
{% macro each_pair(first_values, second_values, expression) -%}{{ adapter.dispatch('each_pair', 'multichannel')(first_values, second_values, expression) }}{%- endmacro %}

{# The sum of a list of whole numbers; 0 of none. #}
{% macro sum_of(values) -%}{{ adapter.dispatch('sum_of', 'multichannel')(values) }}{%- endmacro %}

{% macro one_after_another(first_list, second_list) -%}{{ adapter.dispatch('one_after_another', 'multichannel')(first_list, second_list) }}{%- endmacro %}

{# The texts of a list as one, without those that are null. #}
{% macro joined(values, separator) -%}{{ adapter.dispatch('joined', 'multichannel')(values, separator) }}{%- endmacro %}

{# The whole numbers from the first to the last, both included; none if the last is smaller. #}
{% macro numbers_between(first, last) -%}{{ adapter.dispatch('numbers_between', 'multichannel')(first, last) }}{%- endmacro %}

{# The same of days. #}
{% macro days_from(first_day, last_day) -%}{{ adapter.dispatch('days_from', 'multichannel')(first_day, last_day) }}{%- endmacro %}

{# Among what is selected: one row per place of lists that are equally long, with a column of each; no row of empty lists. #}
{% macro rows_of(lists) -%}{{ adapter.dispatch('rows_of', 'multichannel')(lists) }}{%- endmacro %}

{# A value of several fields, which compares by its first field, then by its second, and so on. #}
{% macro struct_of(fields) -%}{{ adapter.dispatch('struct_of', 'multichannel')(fields) }}{%- endmacro %}

{# All columns but these. #}
{% macro all_but(columns, relation=none) -%}{{ adapter.dispatch('all_but', 'multichannel')(columns, relation) }}{%- endmacro %}

{# Instants, days and numbers #}

{# An ISO 8601 date and time with an offset as an instant; null if there is no such time. #}
{% macro instant_with_offset(text) -%}{{ adapter.dispatch('instant_with_offset', 'multichannel')(text) }}{%- endmacro %}

{# A local time as an instant. In an hour that a clock change repeats it is the earlier of the two instants; in one that it leaves out, as
if the clock had not been changed yet. #}
{% macro local_instant_in(local_time, time_zone) -%}{{ adapter.dispatch('local_instant_in', 'multichannel')(local_time, time_zone) }}{%- endmacro %}

{# The local day of an instant. #}
{% macro local_day(instant, time_zone) -%}{{ adapter.dispatch('local_day', 'multichannel')(instant, time_zone) }}{%- endmacro %}

{# Null, of the type of instants. #}
{% macro no_instant() -%}{{ adapter.dispatch('no_instant', 'multichannel')() }}{%- endmacro %}

{# Microseconds since 1970. #}
{% macro microseconds(instant) -%}{{ adapter.dispatch('microseconds', 'multichannel')(instant) }}{%- endmacro %}

{# An instant so many microseconds later. #}
{% macro moved(instant, microseconds) -%}{{ adapter.dispatch('moved', 'multichannel')(instant, microseconds) }}{%- endmacro %}

{# A whole number, written so that it has the type bigint where types must be the same. #}
{% macro bigint_of(number) -%}{{ adapter.dispatch('bigint_of', 'multichannel')(number) }}{%- endmacro %}

{# A number as a whole number of up to 37 digits. #}
{% macro whole(number) -%}{{ adapter.dispatch('whole', 'multichannel')(number) }}{%- endmacro %}

{# The whole part of a quotient of whole numbers that are not negative. #}
{% macro whole_division(number, divisor) -%}{{ adapter.dispatch('whole_division', 'multichannel')(number, divisor) }}{%- endmacro %}

{# Aggregate: a sum of whole numbers; null if it is too large for its type, rather than the end of the build. #}
{% macro whole_sum(number) -%}{{ adapter.dispatch('whole_sum', 'multichannel')(number) }}{%- endmacro %}

{# Trillionths as a share. Multiplies rather than divides, as only a product of decimals is exact. #}
{% macro as_share(parts, digits=18) -%}{{ adapter.dispatch('as_share', 'multichannel')(parts, digits) }}{%- endmacro %}

{# A credit's share of a value, exactly: the type is wide enough to keep all digits. #}
{% macro credited_value(value, credit) -%}{{ adapter.dispatch('credited_value', 'multichannel')(value, credit) }}{%- endmacro %}

{#
Keys stand for texts where very many are compared. They have 128 bits, so that two texts never share one.
#}

{% macro key_of(text) -%}{{ adapter.dispatch('key_of', 'multichannel')(text) }}{%- endmacro %}

{# One key for several, whatever their order; of a single key, this key; of none, null. #}
{% macro key_of_keys(keys) -%}{{ adapter.dispatch('key_of_keys', 'multichannel')(keys) }}{%- endmacro %}

{#
The prefix of a key: 40 of its bits. A search for a few keys among very many compares prefixes first, as most of the work is to read
keys. Among a hundred million keys, a hundred thousand that aren't there match ten or so prefixes; reading these keys whole costs little.
#}
{% macro hash_prefix(key) -%}{{ adapter.dispatch('hash_prefix', 'multichannel')(key) }}{%- endmacro %}

{# The bucket of a key: 32 of its bits, enough where keys that share a bucket may be treated together. #}
{% macro hash_bucket(key) -%}{{ adapter.dispatch('hash_bucket', 'multichannel')(key) }}{%- endmacro %}

{% macro key_text(key) -%}{{ adapter.dispatch('key_text', 'multichannel')(key) }}{%- endmacro %}

{# Null, of the type of keys. #}
{% macro null_key() -%}{{ adapter.dispatch('null_key', 'multichannel')() }}{%- endmacro %}

{#
A checksum that can be summed. The sum over many rows doesn't depend on their order, and differs if one row does. So counts by row
and counts by group can be compared without grouping again.
#}
{% macro checksum(value) -%}{{ adapter.dispatch('checksum', 'multichannel')(value) }}{%- endmacro %}

{# A number for each row, another for each. #}
{% macro number_of_row(order) -%}{{ adapter.dispatch('number_of_row', 'multichannel')(order) }}{%- endmacro %}

{# The type that property files call so. #}
{% macro type_of(data_type) -%}{{ adapter.dispatch('type_of', 'multichannel')(data_type) }}{%- endmacro %}

{# Storage #}

{# The row id: where a row is stored in its table. It holds while nothing changes there. Where an engine has none, the number of the record. #}
{% macro row_id() -%}{{ adapter.dispatch('row_id', 'multichannel')() }}{%- endmacro %}

{# The name under which a build changes an accumulating table, and reads what it has changed already. #}
{% macro being_changed(table) -%}{{ adapter.dispatch('being_changed', 'multichannel')(table) }}{%- endmacro %}

{# The bucket of a text, which is the same for equal texts of a build. #}
{% macro text_bucket(text) -%}{{ adapter.dispatch('text_bucket', 'multichannel')(text) }}{%- endmacro %}

{# Whether a person belongs to the part that is made (parts.sql), by a bucket: any whole number. #}
{% macro is_in_part(bucket) -%}{{ adapter.dispatch('is_in_part', 'multichannel')(bucket) }}{%- endmacro %}

{# Whether a delivered row belongs to the part. #}
{% macro is_loaded_in_part(load_id) -%}{{ adapter.dispatch('is_loaded_in_part', 'multichannel')(load_id) }}{%- endmacro %}
