//! `E01`: the text is not in the strict subset of YAML.

use super::{Code, code};

pub(super) const CODES: &[Code] = &[
    code(
        "E0101",
        "not valid YAML",
        "The text can't be read as YAML. The caret shows where reading stopped; the mistake is there or shortly before: an open quote or bracket, a `: ` inside unquoted text, a line that is indented differently from its neighbours.",
        "description: tiles: 512 each",
        "description: \"tiles: 512 each\"",
    ),
    code(
        "E0102",
        "key written twice",
        "A mapping holds each key once. Many YAML readers silently keep the last one, so that the first is lost without a word.",
        "steps:\n  mask: {op: invert, input: a}\n  mask: {op: invert, input: b}",
        "steps:\n  mask_a: {op: invert, input: a}\n  mask_b: {op: invert, input: b}",
    ),
    code(
        "E0103",
        "merge key",
        "`<<` was never part of a YAML standard that readers agree on. Write the keys out; to share whole steps use `include:` or `use:`.",
        "smooth:\n  <<: *common\n  input: gray",
        "smooth:\n  op: gaussian\n  input: gray",
    ),
    code(
        "E0104",
        "more than one document",
        "A file is one workflow. `---` in the middle of it starts a second document.",
        "version: 1\n---\nversion: 1",
        "version: 1",
    ),
    code(
        "E0105",
        "tab in the indentation",
        "YAML is indented with spaces; how wide a tab is would be anybody's guess.",
        "steps:\n\tmask: {op: invert, input: a}",
        "steps:\n  mask: {op: invert, input: a}",
    ),
    code(
        "E0106",
        "ambiguous value",
        "Versions of YAML disagree about unquoted `yes`, `no`, `on`, `off`, `True`, `~`, `0777`, `1_000`, `0x1F` and `12:30`: the country code of Norway becomes `false`, an octal number a decimal one. Write `true`, `false`, `null` or a decimal number, or quote the text.",
        "name: no",
        "name: \"no\"",
    ),
    code(
        "E0107",
        "not a finite number",
        "Numbers are decimal and finite: integers below 1.8e19, others below 1.8e308. Infinity is never needed: leave a bound out instead.",
        "with: {factor: .inf}",
        "with: {factor: 1.0e6}",
    ),
    code(
        "E0108",
        "too large or too deep",
        "A file holds at most 1 MiB, 64 levels of nesting and 200000 values with aliases expanded. These limits keep a few lines of aliases of aliases from filling the memory.",
        "a: &a [x, x]\nb: &b [*a, *a]   # and so on",
        "a: [x, x]",
    ),
    code(
        "E0109",
        "YAML tag",
        "Tags such as `!!str` or `!include` are not used: a value's type is the one its key asks for.",
        "name: !!str 12",
        "name: \"12\"",
    ),
    code(
        "E0110",
        "alias without anchor",
        "An alias `*name` repeats a value that an anchor `&name` marked earlier in the same file. It can't stand before the anchor, nor inside the value it names.",
        "x-note: *common",
        "x-common: &common [1, 2]\nx-note: *common",
    ),
    code(
        "E0111",
        "empty file",
        "The file holds nothing but comments. `engine init` writes a workflow to start from.",
        "# nothing yet",
        "version: 1\ninputs: {image: {path: image.tif}}\noutputs: {Copy: {from: image}}",
    ),
    code(
        "E0112",
        "key is not text",
        "What stands before a colon is a name. Lists, mappings and nothing at all are not.",
        "? [a, b]\n: value",
        "a_b: value",
    ),
];
