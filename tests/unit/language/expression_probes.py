"""Probes of the expression language: expressions with an input, to be compared with other engines."""

from typing import Any

ORDER: Any = {
    "id": 7,
    "customer": {"name": "Ada", "mail": "ada@example.org", "tags": ["vip", "eu"]},
    "items": [
        {"sku": "a1", "price": 3, "count": 2},
        {"sku": "b2", "price": 1.5, "count": 10},
        {"sku": "c3", "price": 40, "count": 0},
    ],
    "note": None,
    "open": True,
}

ON_ORDER = r"""
.
.id
.customer.name
.customer["mail"]
.customer."name"
.missing
.missing.deeper
.items[0]
.items[-1].sku
.items[5]
.items[1:]
.items[:1]
.items[-2:]
.items[0:2] | length
.items[].sku
.items | map(.price * .count)
[.items[] | select(.price > 2) | .sku]
.items | map(.price * .count) | add
.items | sort_by(.price) | map(.sku)
.items | sort_by(-.price, .sku) | map(.sku)
.items | group_by(.price > 2) | map(length)
.items | unique_by(.count > 0) | length
.items | min_by(.price).sku
.items | max_by(.price).sku
.items | map({(.sku): .count}) | add
.items | INDEX(.sku) | keys
.items | any(.count == 0)
.items | all(.count == 0)
any(.items[]; .price > 39)
all(.items[]; .price > 39)
{id, name: .customer.name}
{id, "total": (.items | map(.price) | add)}
{"a b": 1, "c": 2}
{(.customer.name): .id}
{a: (1, 2), b: (3, 4)}
{"x\(.id)": 1}
[.customer.tags[] | ascii_upcase]
.customer | keys
.customer | to_entries
.customer | with_entries(select(.value | type == "string"))
.customer | map_values(length)
.customer | del(.mail)
del(.items[0, 2]) | .items | length
del(.items[] | select(.count == 0)) | .items | length
.items |= map(.sku)
.items[].price |= . * 2
.items[0].price = 9 | .items[0]
.items[1:] = [] | .items | length
.customer.name += "!" | .customer.name
.note //= "none" | .note
.new.deep.place = 1 | .new
.id -= 3 | .id
.id *= 3 | .id
.id %= 4 | .id
.note // "none"
.missing // .note // "last"
(.items[] | .note) // "none"
.open and .note
.open or .note
.open | not
.note == null
.id == 7.0
.id < "a"
[.id, .note, .open, "x"] | sort
if .open then "yes" else "no" end
if .note then 1 elif .open then 2 else 3 end
if .note then 1 end
.id as $x | .items | map(.count + $x)
. as {id: $i, customer: {name: $n}} | "\($i)-\($n)"
.items as [$first, $second] | $second.sku
. as {items: [{sku: $s}]} | $s
.items[] as {sku: $s, price: $p} | [$s, $p]
reduce .items[] as $item (0; . + $item.count)
[foreach .items[] as $item (0; . + $item.count)]
[foreach .items[] as $item (0; . + $item.count; [$item.sku, .])]
"\(.customer.name) <\(.customer.mail)>"
"tags: \(.customer.tags)"
"\(1, 2) and \(3, 4)"
@json "x\(.customer.tags)"
@base64 "\(.customer.name)"
@uri "q=\(.customer.mail)"
@html "<\(.customer.name)>"
@csv "\([1, "a\"b", null, true])"
@tsv "\(["a\tb", 1])"
@sh "echo \("it's")"
.customer.name | @base64
.customer.name | @base64 | @base64d
.customer.tags | join(", ")
.customer.mail | split("@")
.customer.mail | test("^[a-z]+@")
.customer.mail | capture("(?<user>[a-z]+)@(?<host>.+)")
.customer.mail | [match("[a-z]+"; "g").string]
.customer.mail | sub("@.*"; "")
.customer.mail | gsub("[aeiou]"; "_")
.customer.mail | gsub("(?<v>[aeiou])"; "<\(.v)>")
.customer.mail | [scan("[a-z]+")]
.customer.mail | [scan("([a-z])([a-z])")]
.customer.mail | splits("[@.]")
.customer.name | ascii_downcase
.customer.name | explode
.customer.name | explode | implode
.customer.name | length
.customer.name | ltrimstr("A")
.customer.name | rtrimstr("a")
.customer.name | startswith("A")
.customer.name | endswith("A")
.customer.name | .[1:]
.customer.tags | index("eu")
.customer.tags | contains(["vip"])
.customer | has("name")
.items | has(3)
.customer | has("nope")
"name" | in({"name": 1})
.customer.tags | inside(["vip", "eu", "x"])
[paths]
[paths(type == "number")]
[leaf_paths] | length
path(.items[0].sku)
[path(..)] | length
[.. | numbers]
getpath(["customer", "name"])
getpath(["a", "b"])
setpath(["customer", "name"]; "Bob") | .customer.name
delpaths([["id"], ["note"]]) | keys
to_entries | map(.key)
[limit(2; .items[])] | length
first(.items[]) | .sku
[first(empty)]
last(.items[]) | .sku
nth(1; .items[]) | .sku
isempty(.items[])
isempty(empty)
[range(5)]
[range(2; 5)]
[range(0; 10; 3)]
[range(5; 0; -2)]
[.items[] | .count] | [min, max, add, length]
tojson | fromjson == .
.items | tojson
[.id, .note, .customer.name] | map(tostring)
"12" | tonumber
"1.50" | tonumber
[.items[].price] | map(floor)
[1.2, -1.2, 2.5] | map(round)
[1.2, -1.2] | map(ceil)
16 | sqrt
[pow(2; 10), pow(2; 0.5) | . * 1000 | floor]
[.items[].price] | sort | reverse
[3, 1, 2, 1] | unique
[[1, 2], [3, [4]]] | flatten
[[1, 2], [3, [4]]] | flatten(1)
[[1, 2], [3]] | transpose
[1, 2] + [3]
[1, 2, 3, 2] - [2]
{"a": 1, "b": {"c": 2}} * {"b": {"d": 3}}
{"a": 1} + {"a": 2}
"abc" * 2
"a,b" / ","
10 / 4
7 % 3
-7 % 3
5 % -3
1 - 2 - 3
2 + 3 * 4
-(.id)
[.[] | type]
try error("x") catch .
try error({a: 1}) catch .a
[.items[] | try (if .count == 0 then error("none") else .sku end) catch "!"]
[.items[] | (.sku | tonumber)?]
.customer.name.first?
[(1, error("x"), 3)?]
label $out | 1, break $out, 2
[label $f | .items[] | ., (select(.sku == "b2") | break $f)] | length
def double: . * 2; .id | double
def f(g): [g, g]; f(.id)
def add($a; $b): $a + $b; add(1; 2)
def fac: if . <= 1 then 1 else . * (. - 1 | fac) end; 10 | fac
[recurse(if . < 3 then . + 1 else empty end)] | length
2 | [recurse(. * .; . < 100)]
[1 | while(. < 50; . * 2)]
1 | until(. > 50; . * 2)
[limit(4; 1 | repeat(. * 2))]
[1, [2]] | walk(if type == "number" then . + 1 else . end)
[1, 2] | combinations(2)
[[[1, 2], [3, 4]] | combinations]
{"a": [1, {"b": 2}]} | [tostream]
fromstream({"a": [1, {"b": 2}]} | tostream)
[splits("a")]
[1, 2, 3] | .[1] |= empty
[1, 2, 3] | map(select(. != 2))
[1, 2, 3] | to_entries
[[1, 2], [1, 3]] | map({key: "k\(.[0])", value: .[1]}) | from_entries
[{"name": "a", "value": 1}, {"k": "b", "v": 2}] | from_entries
[3, 1, 2] | sort | bsearch(2)
[1, 3] | bsearch(2)
1425599621 | todate
"2015-03-05T23:53:41Z" | fromdate
1425599621 | gmtime
1425599621 | gmtime | mktime
1425599621 | strftime("%A, %B %d, %Y")
"10:15 2020-02-29" | strptime("%H:%M %Y-%m-%d") | mktime
[true, false] | any, all
[] | any, all
[] | add
[[]] | add
{} | add
null | length
[1, null, 2] | map(values)
[.[] | scalars] | length
[.[] | iterables] | length
[nulls, booleans, numbers, strings, arrays, objects] | length
"abc" | test("B"; "i")
"aXbxc" | ascii_downcase | split("x")
"a1b22" | [match("[0-9]+"; "g") | [.offset, .length, .string]]
"test" | [match("(?<x>t)|(e)"; "g") | .captures | map(.name)]
"äöü" | length, utf8bytelength
"äöü" | @uri
"a" < "b", [1] < [1, 0], {} < [], null < false
[{"a": 2}, {"a": 1}, {"b": 0}] | sort
[1, "1", [1], {"a": 1}, null, true] | map(type)
$x
$x.a, $x["b"]
[$x.b[] | . * 2]
"\u00e9\n\t\"" | length
"\ud83d\ude00" | length
[1, [2, 3]] as [$a, [$b]] | $a + $b
[[1, 2]] | .[] as [$a] ?// $a | $a
{"a": 1} | .a as $v | {$v}
{$x} | keys
[1, 2, 3] | first, last
[1, 2, 3] | indices(2)
"a,b, cd" | indices(", ")
[1, 2, 1, 2] | indices([1, 2])
"x" | ascii_downcase | @text
.. |= (if type == "number" then . + 1 else . end) | .id
[.items[] | .price] | @json
"1 2" | [splits(" ")] | map(tonumber) | add
{} | .a.b |= 1
{} | .a[1] = 1
null | .[1:3] = ["x"]
[1, 2, 3, 4] | .[1:3] |= map(. * 10)
[1, 2, 3] | del(.[-1])
[1, 2, 3] | del(.[])
[range(10)] | del(.[2:5])
{"a": {"b": 1, "c": 2}} | pick(.a.b)
{"a": [1, 2]} | paths
"abc" | .[1:2]
[.[]?]
1 | [.[]?]
1 as $x | 2 as $y | [$x, $y, $x]
[1, 2] | .[0] as $a | .[1] as $b | $a - $b
.a = (.id | . + 1) | .a
.items | length as $n | $n * 2
. # a comment
"no \("nested \("string")")"
ltrimstr("a")
splits("a")
tojson
implode
.[0]
.[]
keys
length
-.
.a.b.c
error
error(null)
{} | keys
abs
toarray
[-1, 1.5] | map(abs)
limit(0; 1, 2)
[skip(1; 1, 2, 3)]
have_decnum | type
getpath(["items", 0, "sku"])
[.items[] | getpath(["price"])]
"a" as $a | {"\($a)": 1, ($a + "b"): 2}
{(1, 2 | tostring): 3}
IN(.id; 7, 8)
.id | IN(1, 2)
[.customer | to_entries[] | .value | strings]
""".strip().splitlines()

SCALARS: list[Any] = [None, True, False, 0, -1, 2.5, "", "abc", [], [3, 1, 2], {}, {"a": 1, "b": [1, 2]}]

ON_EACH = """
.[0]
.a
.[]
keys
length
not
tostring
type
-.
. + 1
. + "x"
. + [1]
. + {"z": 1}
. + null
. - 1
. * 2
. / 2
. % 2
. == 0
. < 1
[.[]?]
.a?
.a // 1
sort
reverse
add
first
to_entries
tojson
floor
ascii_downcase
explode
has("a")
has(0)
contains("a")
.[1:]
.[:-1]
.a |= 1
.[0] |= 1
.[] |= 1
del(.a)
del(.[0])
map(.)
map_values(.)
paths
[..]
flatten
min
unique
tonumber
select(.)
if . then 1 else 2 end
any
all
join(",")
test("a")
split("b")
ltrimstr("a")
@json
@text
@base64
@csv
@html
range(.)
fromjson
""".strip().splitlines()

PROBES: list[tuple[str, Any]] = [(source, ORDER) for source in ON_ORDER] + [
    (source, value) for source in ON_EACH for value in SCALARS
]
