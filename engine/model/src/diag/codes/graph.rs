//! `E03`: names and the graph they make.

use super::{Code, code};

pub(super) const CODES: &[Code] = &[
    code(
        "E0301",
        "name with characters that are not allowed",
        "Names of inputs and steps start with a letter or `_` and go on with letters, digits, `_` and `-`. They become parts of paths, plans and records.",
        "steps:\n  \"my step\": {op: invert, input: image}",
        "steps:\n  my_step: {op: invert, input: image}",
    ),
    code(
        "E0302",
        "unknown name",
        "A step or output refers to an input or step that doesn't exist.",
        "steps:\n  mask: {op: invert, input: imgae}",
        "steps:\n  mask: {op: invert, input: image}",
    ),
    code(
        "E0303",
        "name taken twice",
        "Inputs and steps share one set of names, also across included files.",
        "inputs:\n  image: {path: a.png}\nsteps:\n  image: {op: invert, input: image}",
        "inputs:\n  image: {path: a.png}\nsteps:\n  inverted: {op: invert, input: image}",
    ),
    code(
        "E0304",
        "result that can't be chosen",
        "`step.Name` chooses one result of a used workflow (one of its outputs) or of a repeat (one of its carries). Where there is only one, `step` is enough; an op has just one result and no name for it.",
        "outputs:\n  Mask: {from: segment.Msk}",
        "outputs:\n  Mask: {from: segment.Mask}",
    ),
    code(
        "E0305",
        "exactly one kind of step",
        "A step applies an op (`op`), uses another workflow (`use`) or repeats steps (`repeat`): one of the three.",
        "steps:\n  mask: {input: image}",
        "steps:\n  mask: {op: invert, input: image}",
    ),
    code(
        "E0306",
        "both `input` and `inputs`",
        "`input: NAME` is for a step with one input, `inputs: {PORT: NAME}` for several.",
        "sum: {op: arithmetic, input: a, inputs: {b: b}}",
        "sum: {op: arithmetic, inputs: {a: a, b: b}}",
    ),
    code(
        "E0307",
        "used workflow can't be read",
        "The file named by `use:` is missing or can't be opened. Relative paths start from the directory of the file that they are written in.",
        "seg: {use: segmnt.yaml, input: image}",
        "seg: {use: segment.yaml, input: image}",
    ),
    code(
        "E0308",
        "workflow that uses itself",
        "A workflow can't be a step of itself, directly or through others: it would never end.",
        "# in a.yaml\nagain: {use: a.yaml, input: image}",
        "again: {use: b.yaml, input: image}",
    ),
    code(
        "E0309",
        "inputs of a used workflow",
        "The inputs given to a used workflow replace its own, by name. `input:` is enough where it has just one.",
        "seg: {use: segment.yaml, inputs: {imgae: gray}}",
        "seg: {use: segment.yaml, inputs: {image: gray}}",
    ),
    code(
        "E0310",
        "`until` can't be decided before the run",
        "A repeat is unrolled while planning, before any element is read: how often it goes is part of the plan, and so are the memory and the stages. A condition on what was computed would be known in the middle of the run only, so it is refused.",
        "repeat: {times: 10, until: small, carry: {x: y}, steps: {y: {op: invert, input: x}}}",
        "repeat: {times: 10, carry: {x: y}, steps: {y: {op: invert, input: x}}}",
    ),
    code(
        "E0311",
        "carry without step or first value",
        "`carry: {name: step}` gives the result of the body's `step` to the next time as `name`. The step must be in the body, and the first value is connected as an input of the repeat.",
        "loop:\n  repeat: {times: 3, carry: {x: y}, steps: {y: {op: invert, input: x}}}",
        "loop:\n  input: image\n  repeat: {times: 3, carry: {x: y}, steps: {y: {op: invert, input: x}}}",
    ),
    code(
        "E0312",
        "too many steps",
        "Repeats are unrolled while planning. All together may give at most 20000 steps.",
        "repeat: {times: 1000, carry: {…}, steps: {…: {repeat: {times: 1000, …}}}}",
        "repeat: {times: 100, carry: {…}, steps: {…: {repeat: {times: 100, …}}}}",
    ),
    code(
        "E0313",
        "step that is off is needed",
        "A step whose `when:` is false passes its one input on. A step with several inputs, or none, has nothing to pass: what uses it must be off too.",
        "sum: {op: arithmetic, inputs: {a: a, b: b}, when: false}\nmask: {op: invert, input: sum}",
        "sum: {op: arithmetic, inputs: {a: a, b: b}, when: false}\nmask: {op: invert, input: sum, when: false}",
    ),
    code(
        "E0314",
        "cycle",
        "Steps need each other's results in a circle, so none can be first. To carry a result to the next time use `repeat:`.",
        "a: {op: invert, input: b}\nb: {op: invert, input: a}",
        "a: {op: invert, input: image}\nb: {op: invert, input: a}",
    ),
];
