"""Small templates that pin down single rules of the language, and the variables they see."""

VARIABLES = {
    "n": 7, "neg": -3, "f": 2.5, "yes": True, "no": False, "nil": None, "s": "Hello, Wörld", "empty": "", "blank": "  \t\n",
    "xs": [3, 1, 2], "words": ["b", "A", "c", "a"], "d": {"one": 1, "two": 2, "items": "own", "k k": 3}, "nested": {"a": {"b": [10, 20, {"c": "deep"}]}},
    "people": [{"name": "Ann", "age": 31, "tags": ["x"]}, {"name": "bob", "age": 25}, {"name": "Cid", "age": 31, "tags": []}],
    "text": "line one\n  line two\n\nline four", "html": "<a href=\"x\">'&'</a>", "multi": "a,b,,c", "uni": "éa\u0301ßΣσς İ 日本 👍🏽",
    "big": 9007199254740993, "floats": [0.1, 1e16, 1e-5, 123456789.125, 1e22, -0.0, 100.0, 1.5e300],
}

SNIPPETS = r"""
{{ n }} {{ neg }} {{ f }} {{ yes }} {{ nil }} {{ s }} {{ xs }} {{ d }} {{ missing }}|{{ floats }} {{ big }}
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ -2 ** 2 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 'a' + 1 }}
{{ 'a' ~ 1 ~ none ~ [1] }} {{ 'a' * 3 }} {{ 3 * 'ab' }} {{ [1] * 2 }} {{ [1] + [2] }} {{ (1, 2) + (3,) }} {{ (1,) }} {{ () }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 'a' in 'abc' }} {{ 4 not in xs }} {{ 'one' in d }}
{{ 'a' < 1 }}
{{ none < 1 }}
{{ missing < 1 }}
{{ missing == none }} {{ missing == other_missing }} {{ missing in xs }} {{ 1 in missing }} {{ not missing }} {{ missing or 'x' }} {{ yes and 'y' }} {{ no and 'y' }} {{ '' or 0 or [] or 'z' }}
{{ missing.x }}
{{ missing['x'] }}
{{ missing() }}
{{ missing + 1 }}
{{ d.missing.x }}
{{ d.missing is defined }} {{ d.one is defined }} {{ nested.a.b[2].c }} {{ nested['a']['b'][-1]['c'] }} {{ nested.a.b.1 }} {{ xs[10] is defined }} {{ nil.x is defined }}
{{ d.items is string }} {{ d['items'] }} {{ d.items() | list }} {{ d.keys() | list }} {{ d.values() | list }} {{ d.get('one') }} {{ d.get('zzz') }} {{ d.get('zzz', 5) }} {{ d['k k'] }}
{{ 'yes' if yes else 'no' }} {{ 'yes' if no }}|{{ 'a' if no else 'b' if no else 'c' }} {{ ('x' if yes) ~ '!' }}
{{ xs[0:2] }} {{ xs[::-1] }} {{ xs[1:] }} {{ xs[:-1] }} {{ xs[-2:] }} {{ xs[5:] }} {{ xs[::2] }} {{ xs[2:0:-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ uni[2:6] }} {{ uni[-1] }} {{ s[100:] }}|{{ s[-3] }} {{ xs[-100:100] }}
{{ xs[::0] }}
{{ xs['a'] }}|{{ 5[0] }}|{{ d[0] }}
{% for x in xs %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.previtem }}/{{ loop.nextitem }}/{{ loop.cycle('a', 'b') }}/{{ loop.depth }};{% endfor %}
{% for x in [] %}never{% else %}empty{% endfor %} {% for x in xs %}{% else %}no{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %} {% for k in d %}{{ k }} {% endfor %} {% for c in 'aé👍' %}[{{ c }}]{% endfor %} {% for (a, b) in [(1, 2), [3, 4]] %}{{ a }}{{ b }} {% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in missing %}{% else %}none{% endfor %}
{% for x in xs if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %} {% for x in xs if x > 5 %}{% else %}none left{% endfor %}
{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %} {{ range(3) | list }} {{ range(5, 0, -2) | list }} {{ range(2, 4) | list }}
{% for x in range(1000000) %}{% endfor %}
{% set x = 1 %}{% for i in xs %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}
{% set ns = namespace(x=1, y='a') %}{% for i in xs %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }} {{ ns.y }} {{ ns.z is defined }}
{% set d.x = 1 %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set t = 1, 2 %}{{ t }} {% set q %}block {{ n }}{% endset %}{{ q }} {% set q | upper | trim %} in {% endset %}[{{ q }}]
{% if no %}a{% elif n == 7 %}b{% else %}c{% endif %} {% if missing %}a{% endif %} {% if xs and not empty %}ok{% endif %} {% if not (yes and no) or missing %}k{% endif %}
{% if yes %}{% set inner = 5 %}{% endif %}{{ inner }} {% with a = 1, b = 2 %}{{ a + b }}{% set z = 3 %}{% endwith %}{{ z is defined }}
{% macro m(a, b=2, c='x') %}[{{ a }}|{{ b }}|{{ c }}]{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c='y') }} {{ m(b=1) }} {{ m('q') | upper }} {{ m is callable }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}
{% macro f(k) %}{{ k }}{% if k > 0 %},{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(5) }} {% set g = 1 %}{% macro h() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ h() }}
{% macro wrap() %}<{{ caller() }}>{% endmacro %}{% call wrap() %}body {{ n }}{% endcall %} {% macro each(v) %}{% for x in v %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(x) each(xs) %}({{ x }}){% endcall %}
{% filter upper %}loud {{ s }}{% endfilter %} {% filter trim | reverse %}  abc {% endfilter %} {% raw %}{{ not }} {% this %}{% endraw %} {# gone #}x{#- gone -#} y
{% generation %}{{ n }} gen{% endgeneration %} {%- generation -%} g {%- endgeneration -%} x
  {% if yes %}
  indented
    {%- if yes %} tight {%- endif +%}
  {%+ if yes %}plus{% endif %}
end
a {{- 1 -}} b {{ 2 }} {%- set x = 1 -%} c {#- x -#}  d {{-''}} e
{{ "a\nb\t\"q\" \x41\u00e9\\ \'x\'" }} {{ 'it''s' }} {{ "adja" "cent" }} {{ 'a\qb' }} {{ '\101' }}
{{ {'a': 1, 'b': [1, {'c': none}], 'd': true} }} {{ {1: 'x', 'y': 2.0}[1] }} {{ {}.x is defined }} {{ [1, 'two', 3.0, none, true, missing] }} {{ dict(a=1, b='x') }} {{ {'a': 1, 'a': 2} }}
{{ "quote ' single" }} {{ ["it's", 'say "x"', 'both \' and "', 'tab\t', 'nl\n', 'é', '\x00', '\u200b', '\U0001f600', 'back\\slash'] }}
{{ s | upper }} {{ s | lower }} {{ 'heLLo wORLD-foo (bar)' | title }} {{ 'heLLo wORLD' | capitalize }} {{ s | length }} {{ uni | upper }} {{ uni | lower }} {{ uni | length }} {{ 'x' | replace('x', 'y') }} {{ 'aaa' | replace('a', 'b', 2) }}
{{ '  x ' | trim }}| {{ 'xxaxx' | trim('x') }} {{ 5 | trim }} {{ missing | trim }}| {{ missing | upper }}| {{ none | upper }} {{ blank | trim }}|
{{ xs | join }} {{ xs | join(', ') }} {{ people | join('/', attribute='name') }} {{ 'abc' | join('-') }} {{ [1, none, missing, true] | join('|') }}
{{ xs | first }} {{ xs | last }} {{ [] | first is defined }} {{ 'abc' | first }} {{ 'abc' | last }} {{ xs | sort }} {{ xs | sort(reverse=true) }} {{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ people | sort(attribute='age') | map(attribute='name') | list }}
{{ words | unique | list }} {{ words | unique(case_sensitive=true) | list }} {{ xs | sum }} {{ people | sum(attribute='age') }} {{ xs | min }} {{ xs | max }} {{ words | min }} {{ xs | reverse | list }} {{ 'abc' | reverse }} {{ xs | list | length }} {{ 'abc' | list }}
{{ people | selectattr('age', 'equalto', 31) | map(attribute='name') | join(',') }} {{ people | rejectattr('age', 'eq', 31) | map(attribute='name') | list }} {{ people | selectattr('tags') | list | length }} {{ people | selectattr('tags', 'defined') | list | length }} {{ people | map(attribute='tags', default='none') | list }}
{{ xs | select('odd') | list }} {{ xs | reject('gt', 1) | list }} {{ xs | select | list }} {{ [0, 1, '', 'x', none] | reject | list }} {{ words | map('upper') | list }} {{ words | map('replace', 'a', 'z') | list }} {{ people | map(attribute='tags.0', default='d') | list }} {{ ['a b', 'c'] | map('length') | sum }}
{{ d | dictsort }} {{ {'b': 1, 'A': 2, 'c': 0} | dictsort }} {{ {'b': 1, 'A': 2, 'c': 0} | dictsort(by='value') }} {{ {'b': 1, 'A': 2} | dictsort(true) }} {{ {'b': 1, 'A': 2} | dictsort(reverse=true) }} {{ d | items | list }} {{ missing | items | list }} {{ d | length }}
{{ missing | default('x') }} {{ none | default('x') }} {{ '' | default('x', true) }} {{ none | d('x', boolean=true) }} {{ 0 | default(5) }} {{ missing | default }}|
{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.567 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | round(method='floor') }} {{ 5 | round }} {{ -3 | abs }} {{ -2.5 | abs }} {{ 1234.5 | round(-2) }}
{{ '42' | int }} {{ '4.7' | int }} {{ 'x' | int }} {{ 'x' | int(9) }} {{ 3.9 | int }} {{ none | int }} {{ ' 12 ' | int }} {{ '1.5' | float }} {{ 'x' | float }} {{ 3 | float }} {{ true | int }} {{ 12 | string ~ 'a' }} {{ [1] | string | length }}
{{ html | escape }} {{ html | e }} {{ html | safe }} {{ text | indent }} {{ text | indent(2, true) }} {{ text | indent(1, blank=true) }} {{ text | indent('> ') }} {{ 'one two  three' | wordcount }} {{ range(5) | list | batch(2) | list }} {{ range(5) | batch(2, 0) | list }}
{{ d | tojson }} {{ xs | tojson }} {{ html | tojson }} {{ uni | tojson }} {{ uni | tojson(ensure_ascii=true) }} {{ none | tojson }} {{ true | tojson }} {{ floats | tojson }} {{ (1, 'a') | tojson }} {{ 'a\n\t\x01\x7f"\\' | tojson }} {{ {} | tojson }} {{ [] | tojson(indent=2) }}
{{ nested | tojson(indent=2) }} {{ nested | tojson(indent=0) }} {{ d | tojson(separators=(',', ':')) }} {{ d | tojson(sort_keys=true) }} {{ {1: 2, none: 3, true: 4} | tojson }} {{ {'b': {'z': 1, 'a': 2}} | tojson(indent=4, sort_keys=true) }} {{ [1] | tojson(indent='--') }}
{{ missing | tojson }}
{{ namespace() | tojson }}
{{ s.strip('Hd') }} {{ '  x '.strip() }}| {{ '  x '.lstrip() }}| {{ '  x '.rstrip() }}| {{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'a-b-c'.split('-') }} {{ 'a b  c '.split() }} {{ 'a-b-c'.split('-', 1) }} {{ 'a-b-c'.rsplit('-', 1) }} {{ ' a b c'.split(None, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ multi.split(',')[-1] }}
{{ 'ab'.upper() }} {{ 'AB'.lower() }} {{ "they're bill's" .title() }} {{ 'ab cd'.capitalize() }} {{ 'abab'.replace('a', 'x') }} {{ 'abab'.replace('a', 'x', 1) }} {{ 'ab'.replace('', '-') }} {{ 'abc'.find('c') }} {{ 'abc'.find('z') }} {{ 'éab'.find('b') }} {{ 'aab'.count('a') }} {{ ','.join(['a', 'b']) }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'xay'.removeprefix('x') }} {{ 'xay'.removesuffix('y') }} {{ 'a\nb\r\nc'.splitlines() }}
{{ 'abc'.index('z') }}
{{ 'a'.split('') }}
{{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ ' '.isspace() }} {{ 'A'.isupper() }} {{ 'a1'.isalnum() }} {{ 'a'.islower() }} {{ ''.isalpha() }} {{ 'aB'.islower() }} {{ '1a'.islower() }} {{ '½'.isnumeric() }} {{ '²'.isdigit() }}
{{ xs.append(1) }}
{{ d.update({'a': 1}) }}
{{ xs.pop() }}
{{ xs.index(2) }} {{ xs.count(1) }} {{ 'x'.missing is defined }} {{ xs.missing is defined }} {{ n.real is defined or true }}
{{ 'x'.missing() }}
{{ n is number }} {{ n is integer }} {{ f is float }} {{ yes is boolean }} {{ yes is number }} {{ yes is integer }} {{ s is string }} {{ xs is sequence }} {{ xs is iterable }} {{ d is mapping }} {{ d is sequence }} {{ d is iterable }} {{ s is iterable }} {{ n is iterable }} {{ none is none }} {{ missing is none }} {{ yes is true }} {{ 1 is true }} {{ no is false }} {{ 0 is false }}
{{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 'a' is in 'abc' }} {{ 1 is in xs }} {{ 1 is eq 1 }} {{ 1 is equalto(1) }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 2 is gt(1) }} {{ 2 is ge 2 }} {{ 'a' is lower }} {{ 'A' is upper }} {{ 1 is not none }} {{ not 1 is none }} {{ missing is not defined }} {{ missing is undefined }} {{ 'trim' is filter }} {{ 'odd' is test }} {{ 1 is sameas 1 }}
{{ n is defined and n is not none and n > 3 }} {{ (n is defined) }} {{ [n is odd, f is float] }} {{ 'a' if n is odd else 'b' }} {{ n is odd or missing }} {{ -n | abs }} {{ (-n) | abs }} {{ -1 | abs }} {{ 2 + 3 | string | length }}
{% filter length %}abc{% endfilter %}
{{ raise_exception('Own message: ' ~ n) }}
{% if yes %}{{ raise_exception("stop") }}{% endif %}
{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S %A %j') }} {{ strftime_now is defined }}
{{ s[0] }}{{ s[-1] }} {{ xs[-1] }} {{ xs[true] }} {{ (1, 2)[1] }} {{ 'abc'[1:][0] }} {{ d['o' ~ 'ne'] }} {{ people[0]['name'][0] }} {{ people[0].tags[0] }} {{ {'a': {'b': 1}}.a.b }} {{ [[1, 2], [3]][0][1] }}
{{ loop is defined }} {% for i in xs %}{% for j in xs %}{{ loop.index }}{% endfor %}{{ loop.index }} {% endfor %}{% for i in xs %}{% set outer = loop %}{% for j in [1] %}{{ outer.index }}{% endfor %}{% endfor %}
{% for m in people %}{% if loop.previtem is defined and loop.previtem.age > m.age %}younger{% endif %}{{ m.name }}{% if not loop.last %}, {% endif %}{% endfor %}
{{ [1, 2
, 3] }} {{ {
'a': 1 } }} {{- '}}' }} {{ "{{" }} {{ '%}' }}
{{ 1_000 + 0 }} {{ 1e3 }} {{ 1.5e-3 }} {{ 0.1 + 0.2 }} {{ 10 / 4 }} {{ 10 / 5 }} {{ 1e100 }} {{ 3.0 }} {{ 1 == true }} {{ big + 1 }}
{{ ['a', 'b'] | tojson | length }} {{ (xs | length) - 1 }} {{ xs|length-1 }} {{ not xs|length == 3 }} {{ xs | length == 3 }} {{ 'a' ~ 1 + 2 }} {{ 'x' ~ xs[0] * 2 }} {{ 1 if yes else 2 if no else 3 }}
{{
{% if %}{% endif %}
{% for x in %}{% endfor %}
{% endif %}
{% if yes %}
{% unknown %}
{{ 1 + }}
{{ 'open }}
{{ a b }}
{{ [1, 2 }}
{{ x | nosuchfilter }}
{{ x is nosuchtest }}
{% set true = 1 %}
{% break %}
{# open
{{ f(a=1, 2) }}
plain text only, no tags: { } % # {x} %} }}
{{ '' }}
{%- if yes -%}
   a
{%- else -%}
   b
{%- endif -%}   c
""".strip("\n")

# One a line, except where a line alone would be torn: those are put together again here.
LINES = SNIPPETS.split("\n")
MULTI = [("  {% if yes %}", 5), ("{{ [1, 2", 3), ("{%- if yes -%}", 5)]
SNIPPETS = []
at = 0
while at < len(LINES):
    count = next((n for start, n in MULTI if LINES[at] == start), 1)
    SNIPPETS.append("\n".join(LINES[at:at + count]))
    at += count
SNIPPETS += ["", "\n", "x\n", "x\n\n", "\r\nx\r\n", "a\rb", "{{ 1 }}\n", "{% if yes %}\nx\n{% endif %}\n", "\n{% if yes %}x{% endif %}\n\ny",
             "  {# c #}\n  x", "x {# c #}\ny", "\t{% if yes %}\ty{% endif %}\t", "{% raw %}\n a {% endraw %}\nb", "a\n  {%- raw -%} b {%- endraw -%} \nc",
             "{% for x in xs %}\n  {{ x }}\n{% endfor %}", "{% for x in xs -%}\n  {{ x }}\n{%- endfor %}", "{{ 'a\nb' }}", "{{ 'a\r\nb' }}"]
