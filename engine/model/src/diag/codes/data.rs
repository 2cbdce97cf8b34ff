//! `E06` to `W09`: files, outputs, memory, warnings.

use super::{Code, code};

pub(super) const CODES: &[Code] = &[
    code(
        "E0601",
        "no file matches",
        "A glob matches nothing, or a path names nothing. Relative paths start from the directory of the file that they are written in, or from the working directory when given on the command line.",
        "image: {foreach: \"tiles/*.pgn\"}",
        "image: {foreach: \"tiles/*.png\"}",
    ),
    code("E0602", "file can't be opened", "The file is there but can't be read, or went away.", "image: {path: secret.png}", "image: {path: image.png}"),
    code(
        "E0603",
        "corrupt file",
        "The content is not what its format demands. `on_error: skip` leaves such items out.",
        "image: {foreach: \"*.png\"}",
        "image: {foreach: \"*.png\", on_error: skip}",
    ),
    code("E0604", "unsupported file", "The format, or a feature of it, can't be read.", "image: {path: scan.bmp}", "image: {path: scan.tif}"),
    code("E0605", "invalid glob", "The pattern is not a glob: a bracket is open, or `**` stands inside a name.", "foreach: \"tile[0-9.png\"", "foreach: \"tile[0-9].png\""),
    code(
        "E0701",
        "format can't hold the result",
        "Arrays are written as `zarr`, `tiff` or `png`, tables as `csv` or `parquet`. PNG holds 8 and 16 bits, grey, RGB or RGBA; TIFF holds any dtype in 2-D pages; Zarr holds everything.",
        "Table: {from: smooth, format: csv}",
        "Smooth: {from: smooth, format: zarr}",
    ),
    code(
        "E0702",
        "outputs that collide",
        "Two outputs would be written to the same place. Upper and lower case count as the same, as on many file systems, and a name can't be both a file and a folder of others.",
        "outputs:\n  Mask: {from: a}\n  mask: {from: b}",
        "outputs:\n  MaskA: {from: a}\n  MaskB: {from: b}",
    ),
    code(
        "E0703",
        "output name that leaves `Results/`",
        "The name of an output is its path inside `Results/`: plain names, at most four deep. To write elsewhere add `to:`.",
        "outputs:\n  ../mask: {from: mask}",
        "outputs:\n  Mask: {from: mask, to: ../mask.zarr}",
    ),
    code("E0704", "nothing is written", "A workflow without outputs computes nothing.", "outputs: {}", "outputs:\n  Mask: {from: mask}"),
    code("E0705", "chunks of another format", "Only Zarr outputs have chunks.", "Mask: {from: mask, format: png, chunks: [64, 64]}", "Mask: {from: mask, format: zarr, chunks: [64, 64]}"),
    code("E0706", "test of an unknown output", "`expect:` names an output that the workflow doesn't have.", "expect: {outputs: {Msk: {…}}}", "expect: {outputs: {Mask: {…}}}"),
    code(
        "E0801",
        "does not fit the memory",
        "Even with the smallest blocks the plan needs more memory than the limit. The message names the step that needs most and the setting that would make it fit.",
        "run: {memory: 1MiB}",
        "run: {memory: 1GiB}",
    ),
    code("W0901", "unused step", "No output needs the step's result, so it is not computed.", "steps:\n  spare: {op: invert, input: image}", "outputs:\n  Spare: {from: spare}"),
    code("W0902", "unused input", "Nothing refers to the input, so it is not read.", "inputs:\n  spare: {path: a.png}", "outputs:\n  Spare: {from: spare}"),
    code("W0903", "unused parameter", "Nothing refers to the parameter, so that setting it has no effect.", "params:\n  sigma: {type: number, default: 1}", "with: {sigma: \"${params.sigma}\"}"),
    code("W0911", "item left out", "A file of a `foreach` can't be used. With `on_error: skip` it is left out and the others are worked on; the run ends with exit code 5.", "image: {foreach: \"*.png\", on_error: skip}   # one of them is empty", "image: {foreach: \"tiles/*.png\"}"),
];
