//! `E02`: the file doesn't have the structure of a workflow.

use super::{Code, code};

pub(super) const CODES: &[Code] = &[
    code(
        "E0201",
        "unknown key",
        "The key means nothing here. It is refused, because a misspelt key that is passed over changes results without a word. Keys that start with `x-` are free for notes at the top level, in steps and in outputs.",
        "inputs:\n  image: {for_each: \"*.png\"}",
        "inputs:\n  image: {foreach: \"*.png\"}",
    ),
    code(
        "E0202",
        "missing key",
        "Something that has to be there is not.",
        "outputs:\n  Mask: {format: png}",
        "outputs:\n  Mask: {from: mask, format: png}",
    ),
    code(
        "E0203",
        "wrong type",
        "The value is of another type than the key asks for: a list for text, text for a number. Nothing is converted silently.",
        "run: {threads: \"4\"}",
        "run: {threads: 4}",
    ),
    code(
        "E0204",
        "not one of the accepted values",
        "The key accepts a few values only; the message lists them.",
        "outputs:\n  Mask: {from: mask, format: tif}",
        "outputs:\n  Mask: {from: mask, format: tiff}",
    ),
    code(
        "E0205",
        "out of bounds",
        "The value is of the right type but too small, too large, too short, too long, or not written as it should be.",
        "run: {threads: 0}",
        "run: {threads: 1}",
    ),
    code(
        "E0206",
        "exactly one source for an input",
        "An input is read from the files of a glob (`foreach`), from one file (`path`), or made up (`generate`): one of the three.",
        "inputs:\n  image: {channels: rgb}",
        "inputs:\n  image: {path: image.png, channels: rgb}",
    ),
    code(
        "E0207",
        "unknown version of the workflow language",
        "This program reads version 1. A newer file needs a newer program.",
        "version: 2",
        "version: 1",
    ),
    code(
        "E0208",
        "include can't be read",
        "A file named under `include:` is missing or can't be opened. Relative paths start from the directory of the file that they are written in.",
        "include: [comon.yaml]",
        "include: [common.yaml]",
    ),
    code(
        "E0209",
        "include of itself",
        "A file includes itself, directly or through others.",
        "# in a.yaml\ninclude: [a.yaml]",
        "# in a.yaml\ninclude: [b.yaml]",
    ),
    code(
        "E0210",
        "part that an include can't hold",
        "An include adds `params`, `inputs` and `steps`. What is written, the profile and the tests belong to the workflow itself, so that they are seen where it is read.",
        "# in common.yaml\noutputs: {Mask: {from: mask}}",
        "# in common.yaml\nsteps: {mask: {op: invert, input: image}}",
    ),
    code(
        "E0211",
        "not a size",
        "A size is a number of bytes, or a number with a unit: KiB, MiB, GiB, TiB (powers of 1024), kB, MB, GB, TB (powers of 1000).",
        "run: {memory: 4 gigs}",
        "run: {memory: 4GiB}",
    ),
    code(
        "E0212",
        "axes that don't fit",
        "Axes are letters, slowest first: t (time), c (channel), z, y, x; none twice, one for each extent of the shape.",
        "generate: {shape: [8, 64, 64], axes: yx, dtype: uint8}",
        "generate: {shape: [8, 64, 64], axes: zyx, dtype: uint8}",
    ),
];
