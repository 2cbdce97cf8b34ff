//! `expression`: a formula of arrays, element by element.

use super::program::Program;
use ops_core::contract::{Array, Case, Content, Expected, Input};
use ops_core::registry::ANY_NAME;
use ops_core::{
    ArrayMeta, Block, DType, InputKind, InputSpec, Lowering, Map, MapCall, Op, OpError, Port, Ports, Region,
    register_op,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Computes a formula of one or more arrays, element by element, such as `a * 2 + b`.
///
/// The inputs are called as the step calls them: `inputs: {a: red, b: green}`; a single one given by `input:` is called
/// `input`. An expression has
///
/// - numbers: `2`, `0.5`, `1e-3`;
/// - `+`, `-`, `*`, `/`, and parentheses;
/// - `<`, `<=`, `>`, `>=`, `==`, `!=`, which give 1 or 0, and `&&`, `||`, `!`, for which everything but 0 is true;
/// - `abs`, `sqrt`, `exp`, `log` (natural), `pow(x, y)`, `floor`, `ceil`, `round` (half to even), `min` and `max` of two or more
///   (NaN where one is NaN), `where(condition, x, y)`: `x` where the condition is not 0, else `y`.
///
/// Precedence is as usual: `!` and the sign, `*` and `/`, `+` and `-`, comparisons, `&&`, `||`.
///
/// **Result.** Same shape and axes, which must be equal for all inputs, of the given dtype, float64 by default. All
/// arithmetic is in float64 and rounded once at the end: to an integer dtype half to even and saturated, NaN to 0; to
/// `bool` everything but 0 is true. Dividing by zero gives an infinity or NaN.
///
/// **Boundary.** None: element by element. **Memory.** 8 KiB for each value that has to be remembered, most often two or
/// three.
///
/// **Reference.** The same formula in numpy on float64 arrays.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    /// The formula.
    expression: String,
    /// The dtype of the result.
    #[serde(default = "float64")]
    dtype: DType,
}

fn float64() -> DType {
    DType::Float64
}

impl Op for Expression {
    fn lower(&self, g: &mut Lowering, inputs: &[Port]) -> Result<Port, OpError> {
        let arrays = (0..inputs.len()).map(|i| g.array(inputs, i)).collect::<Result<Vec<_>, _>>()?;
        let program = Program::compile(&self.expression, g.input_names())?;
        Ok(Port::Array(g.map("expression", Computed { program, dtype: self.dtype }, &arrays, &[])?))
    }
}

/// The map: a compiled expression.
#[derive(Debug)]
struct Computed {
    program: Program,
    dtype: DType,
}

impl Map for Computed {
    fn infer(&self, ports: &Ports) -> Result<ArrayMeta, OpError> {
        let first = ports.meta(0);
        for input in 1..ports.len() {
            let other = ports.meta(input);
            if (&other.shape, &other.axes) != (&first.shape, &first.axes) {
                let expected = format!("the shape and axes of the first input: {first}");
                return Err(OpError::input(input, expected, other, "crop, pad or resize one of them"));
            }
        }
        Ok(first.with_dtype(self.dtype))
    }

    fn apply(&self, call: &MapCall<'_>, out: &mut Block) -> Result<(), OpError> {
        self.program.run(call.blocks, out, call.pool);
        Ok(())
    }

    fn scratch_bytes(&self, _: &Ports, _: &Region) -> u64 {
        self.program.scratch_bytes()
    }

    fn nanos_per_element(&self) -> f32 {
        self.program.nanos()
    }
}

register_op!(Expression {
    name: "expression",
    domain: "intensity",
    inputs: &[InputSpec { name: ANY_NAME, kind: InputKind::Array, doc: "Arrays of one shape." }],
    makes_table: false,
    example: "weighed: {op: expression, inputs: {a: image, b: smooth}, with: {expression: \"a * 2 - max(b, 0)\"}}",
    cases: cases,
});

/// Expressions and what they stand for.
const FORMULAS: [(&str, fn(f64, f64, f64) -> f64); 8] = [
    ("a * 2 + b", |a, b, _| a * 2.0 + b),
    ("-a / (b - 3.5) + c", |a, b, c| -a / (b - 3.5) + c),
    ("where(a > b && !(c == 0), a, sqrt(abs(b)))", |a, b, c| if a > b && c != 0.0 { a } else { b.abs().sqrt() }),
    ("max(a, b, c) - min(a, b)", |a, b, c| {
        let nan = a.is_nan() || b.is_nan() || c.is_nan();
        if nan { f64::NAN } else { a.max(b).max(c) - a.min(b) }
    }),
    ("(a <= b) + (a != c) * 2 + (b >= 10 || c < 0) * 4", |a, b, c| {
        let bit = |is: bool, n: f64| if is { n } else { 0.0 };
        bit(a <= b, 1.0) + bit(a != c, 2.0) + bit(b >= 10.0 || c < 0.0, 4.0)
    }),
    ("floor(a / 7) + ceil(b / 7) + round(c / 2)", |a, b, c| {
        (a / 7.0).floor() + (b / 7.0).ceil() + (c / 2.0).round_ties_even()
    }),
    ("exp(a / 1e3) + log(abs(b) + 1) + pow(c, 2)", |a, b, c| {
        libm::exp(a / 1e3) + libm::log(b.abs() + 1.0) + libm::pow(c, 2.0)
    }),
    ("a + 0.5", |a, _, _| a + 0.5),
];

fn cases() -> Vec<Case> {
    let input =
        |axes, d: DType| Input::new(axes, d).content(if d.is_float() { Content::Special } else { Content::Noise });
    let case = |text: &str, to: DType, axes, of: &[DType]| {
        let with = json!({"expression": text, "dtype": to});
        Case::new(with, of.iter().map(|d| input(axes, *d)).collect()).expecting(reference)
    };
    let (byte, float) = (DType::UInt8, DType::Float64);
    vec![
        case(FORMULAS[0].0, float, "yx", &[byte, float]),
        case(FORMULAS[0].0, byte, "yxc", &[byte, byte]),
        case(FORMULAS[1].0, DType::Float32, "zyx", &[DType::Int16, DType::UInt16, DType::Float32]),
        case(FORMULAS[2].0, float, "tcyx", &[float, DType::Int32, DType::Bool]),
        case(FORMULAS[3].0, float, "yx", &[float, float, float]),
        case(FORMULAS[4].0, byte, "yx", &[byte, DType::Int8, DType::Float32]),
        case(FORMULAS[5].0, DType::Int64, "yx", &[byte, DType::Int16, byte]),
        case(FORMULAS[6].0, float, "yx", &[byte, DType::Int16, DType::Float32]),
        case(FORMULAS[7].0, DType::Bool, "yx", &[DType::Bool]),
        case(FORMULAS[7].0, DType::UInt16, "x", &[DType::UInt64]),
        case("a +", float, "yx", &[byte]),
        case("a + d", float, "yx", &[byte]),
        case("a", float, "yx", &[byte, byte]),
    ]
}

fn reference(with: &Json, inputs: &[Vec<Array>]) -> Expected {
    let text = with["expression"].as_str().unwrap_or_default();
    let to: DType = serde_json::from_value(with["dtype"].clone()).unwrap_or(DType::Float64);
    let Some((_, formula)) = FORMULAS.iter().find(|f| f.0 == text) else { return Expected::Refused };
    let of = |i: usize| inputs.get(i).map(|v| v[0].to_f64());
    let (a, b, c) = (of(0).unwrap_or_default(), of(1), of(2));
    let at = |v: &Option<Vec<f64>>, i: usize| v.as_ref().map_or(0.0, |v| v[i]);
    let each = |i: usize| {
        let y = formula(a[i], at(&b, i), at(&c, i));
        match to {
            DType::Bool => f64::from(u8::from(y != 0.0)),
            DType::Float64 => y,
            DType::Float32 => f64::from(y as f32),
            _ if y.is_nan() => 0.0,
            _ => y.round_ties_even().clamp(to.limits().0, to.limits().1),
        }
    };
    Expected::Close(vec![(0..a.len()).map(each).collect()], 0.0)
}
