//! Expressions of elements: read once, run over runs of elements.
//!
//! The text is read by `syn`, whose grammar of expressions has the precedence that formulas have; what is no number, name,
//! operator or known function is refused. It becomes steps of a machine with a stack, of which each works on a whole run.

use crate::elementwise::{Store, stored, widen};
use ops_core::{Block, OpError, Pool, simd::vectorize};
use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use syn::{BinOp, Expr, Lit, UnOp};

/// Elements that are computed at once: a value of the stack stays in the L1 cache.
const RUN: usize = 1024;
/// Characters of the longest expression, and how deeply parts of it may be nested.
const LONGEST: usize = 1024;
const DEEPEST: usize = 32;
/// Operators in a row, such as in `a && !-b`.
const ROW: usize = 6;

/// A function of one value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unary {
    Negate,
    Not,
    Abs,
    Sqrt,
    Exp,
    Log,
    Floor,
    Ceil,
    Round,
}

/// A function of two values.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Min,
    Max,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    And,
    Or,
}

/// One step of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    /// Puts the elements of an input on the stack.
    Input(usize),
    /// Puts a number on the stack.
    Number(f64),
    /// Replaces the top value.
    Unary(Unary),
    /// Replaces the two top values by one.
    Binary(Binary),
    /// Replaces the three top values by the second where the first is not 0, else by the third.
    Where,
}

/// A compiled expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    steps: Vec<Step>,
    /// Values on the stack at most.
    depth: usize,
}

/// Says what is wrong with an expression.
fn refuse(expected: impl Into<String>, found: impl ToString) -> OpError {
    OpError::param("expression", expected, found)
}

impl Program {
    /// Compiles an expression of inputs of these names.
    ///
    /// # Errors
    /// When it is none, names something else, or does not use an input.
    pub(crate) fn compile(text: &str, names: &[String]) -> Result<Program, OpError> {
        bounded(text)?;
        let syntax = |e: &dyn std::fmt::Display| refuse("an expression such as `a * 2 + b`", format!("`{text}`: {e}"));
        let tokens: TokenStream = text.parse().map_err(|e: proc_macro2::LexError| syntax(&e))?;
        let tree: Expr = syn::parse2(words(tokens)).map_err(|e| syntax(&e))?;
        let mut program = Program { steps: Vec::new(), depth: 0 };
        program.add(&tree, names)?;
        if let Some(unused) = (0..names.len()).find(|i| !program.steps.contains(&Step::Input(*i))) {
            return Err(refuse(
                format!("that it uses all of its inputs ({})", listed(names)),
                format!("no `{}` in it", names[unused]),
            ));
        }
        let mut now = 0usize;
        for step in &program.steps {
            now = match step {
                Step::Input(_) | Step::Number(_) => now + 1,
                Step::Unary(_) => now,
                Step::Binary(_) => now - 1,
                Step::Where => now - 2,
            };
            program.depth = program.depth.max(now);
        }
        Ok(program)
    }

    fn add(&mut self, tree: &Expr, names: &[String]) -> Result<(), OpError> {
        let step = match tree {
            Expr::Paren(e) => return self.add(&e.expr, names),
            Expr::Group(e) => return self.add(&e.expr, names),
            Expr::Lit(e) => Step::Number(number(&e.lit)?),
            Expr::Path(_) => {
                let name = word(tree)?;
                match names.iter().position(|n| *n == name) {
                    Some(i) => Step::Input(i),
                    None => {
                        return Err(refuse(format!("names of its inputs ({})", listed(names)), format!("`{name}`")));
                    }
                }
            }
            Expr::Unary(e) => {
                self.add(&e.expr, names)?;
                match e.op {
                    UnOp::Neg(_) => Step::Unary(Unary::Negate),
                    UnOp::Not(_) => Step::Unary(Unary::Not),
                    _ => return Err(refuse("`-` or `!` before a value", "another operator")),
                }
            }
            Expr::Binary(e) => {
                self.add(&e.left, names)?;
                self.add(&e.right, names)?;
                Step::Binary(operator(&e.op)?)
            }
            Expr::Call(e) => {
                let name = word(&e.func)?;
                e.args.iter().try_for_each(|a| self.add(a, names))?;
                return self.call(&name, e.args.len());
            }
            _ => return Err(refuse("numbers, names of inputs, operators and functions", "something else")),
        };
        self.steps.push(step);
        Ok(())
    }

    /// Applies a function to the values on top of the stack.
    fn call(&mut self, name: &str, values: usize) -> Result<(), OpError> {
        let (step, wanted) = match name {
            "abs" => (Step::Unary(Unary::Abs), 1),
            "sqrt" => (Step::Unary(Unary::Sqrt), 1),
            "exp" => (Step::Unary(Unary::Exp), 1),
            "log" => (Step::Unary(Unary::Log), 1),
            "floor" => (Step::Unary(Unary::Floor), 1),
            "ceil" => (Step::Unary(Unary::Ceil), 1),
            "round" => (Step::Unary(Unary::Round), 1),
            "pow" => (Step::Binary(Binary::Power), 2),
            "min" => (Step::Binary(Binary::Min), 2),
            "max" => (Step::Binary(Binary::Max), 2),
            "where" => (Step::Where, 3),
            _ => {
                let known = "one of the functions abs, ceil, exp, floor, log, max, min, pow, round, sqrt and where";
                return Err(refuse(known, format!("`{name}`")));
            }
        };
        // The least and the greatest are of any number of values, two by two from the last.
        let folded = matches!(name, "min" | "max");
        if values != wanted && !(folded && values > wanted) {
            let more = if folded { " or more" } else { "" };
            return Err(refuse(format!("{wanted}{more} values for `{name}`"), values));
        }
        let times = if folded { values - 1 } else { 1 };
        self.steps.extend(std::iter::repeat_n(step, times));
        Ok(())
    }

    /// Bytes of scratch that [`Program::run`] takes.
    pub(crate) fn scratch_bytes(&self) -> u64 {
        Pool::rounded((8 * RUN * self.depth) as u64)
    }

    /// A rough cost of one element.
    pub(crate) fn nanos(&self) -> f32 {
        0.3 * self.steps.len() as f32
    }

    /// Computes every element of `out` from the same element of each block.
    pub(crate) fn run(&self, blocks: &[&Block], out: &mut Block, pool: &Pool) {
        let mut scratch = pool.take::<f64>(RUN * self.depth);
        let stack = scratch.as_chunks_mut::<RUN>().0;
        let volume = out.region().volume() as usize;
        for at in (0..volume).step_by(RUN) {
            let n = RUN.min(volume - at);
            let mut top = 0;
            for step in &self.steps {
                match step {
                    Step::Input(i) => widen(blocks[*i], at, &mut stack[top][..n]),
                    Step::Number(v) => stack[top].fill(*v),
                    _ => {}
                }
                top = match step {
                    Step::Input(_) | Step::Number(_) => top + 1,
                    Step::Unary(f) => {
                        unary(*f, &mut stack[top - 1]);
                        top
                    }
                    Step::Binary(f) => {
                        let (low, high) = stack.split_at_mut(top - 1);
                        binary(*f, &mut low[top - 2], &high[0]);
                        top - 1
                    }
                    Step::Where => {
                        let (low, high) = stack.split_at_mut(top - 2);
                        choose(&mut low[top - 3], &high[0], &high[1]);
                        top - 2
                    }
                };
            }
            stored(&stack[0][..n], out, at, Store::Nearest);
        }
    }
}

fn unary(f: Unary, x: &mut [f64; RUN]) {
    fn each(x: &mut [f64; RUN], f: impl Fn(f64) -> f64) {
        vectorize(
            #[inline(always)]
            || x.iter_mut().for_each(|x| *x = f(*x)),
        );
    }
    match f {
        Unary::Negate => each(x, |x| -x),
        Unary::Not => each(x, |x| f64::from(u8::from(x == 0.0))),
        Unary::Abs => each(x, f64::abs),
        Unary::Sqrt => each(x, f64::sqrt),
        // The one of the system differs between hosts.
        Unary::Exp => each(x, libm::exp),
        Unary::Log => each(x, libm::log),
        Unary::Floor => each(x, f64::floor),
        Unary::Ceil => each(x, f64::ceil),
        Unary::Round => each(x, f64::round_ties_even),
    }
}

fn binary(f: Binary, x: &mut [f64; RUN], y: &[f64; RUN]) {
    fn each(x: &mut [f64; RUN], y: &[f64; RUN], f: impl Fn(f64, f64) -> f64) {
        vectorize(
            #[inline(always)]
            || x.iter_mut().zip(y).for_each(|(x, y)| *x = f(*x, *y)),
        );
    }
    fn test(x: &mut [f64; RUN], y: &[f64; RUN], f: impl Fn(f64, f64) -> bool) {
        each(x, y, |x, y| f64::from(u8::from(f(x, y))));
    }
    match f {
        Binary::Add => each(x, y, |x, y| x + y),
        Binary::Subtract => each(x, y, |x, y| x - y),
        Binary::Multiply => each(x, y, |x, y| x * y),
        Binary::Divide => each(x, y, |x, y| x / y),
        Binary::Power => each(x, y, libm::pow),
        Binary::Min => each(x, y, |x, y| if x < y || x.is_nan() { x } else { y }),
        Binary::Max => each(x, y, |x, y| if x > y || x.is_nan() { x } else { y }),
        Binary::Less => test(x, y, |x, y| x < y),
        Binary::LessEqual => test(x, y, |x, y| x <= y),
        Binary::Greater => test(x, y, |x, y| x > y),
        Binary::GreaterEqual => test(x, y, |x, y| x >= y),
        Binary::Equal => test(x, y, |x, y| x == y),
        Binary::NotEqual => test(x, y, |x, y| x != y),
        Binary::And => test(x, y, |x, y| x != 0.0 && y != 0.0),
        Binary::Or => test(x, y, |x, y| x != 0.0 || y != 0.0),
    }
}

fn choose(x: &mut [f64; RUN], y: &[f64; RUN], z: &[f64; RUN]) {
    vectorize(
        #[inline(always)]
        || x.iter_mut().zip(y.iter().zip(z)).for_each(|(x, (y, z))| *x = if *x != 0.0 { *y } else { *z }),
    );
}

/// Refuses what could nest too deeply for the reader, which calls itself, or is of no use in a formula.
fn bounded(text: &str) -> Result<(), OpError> {
    if text.len() > LONGEST {
        return Err(refuse(format!("at most {LONGEST} characters"), text.len()));
    }
    if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.,+-*/()<>=!&| \t\n".contains(*c))) {
        return Err(refuse("letters, digits, `_`, operators, parentheses and commas", format!("`{c}`")));
    }
    let (mut depth, mut row) = (0usize, 0);
    for c in text.chars().filter(|c| !c.is_ascii_whitespace()) {
        depth = match c {
            '(' => depth + 1,
            ')' => depth.saturating_sub(1),
            _ => depth,
        };
        row = if "+-*/<>=!&|".contains(c) { row + 1 } else { 0 };
        if depth > DEEPEST {
            return Err(refuse(format!("parentheses nested at most {DEEPEST} deep"), "more"));
        }
        if row > ROW {
            return Err(refuse(format!("at most {ROW} operators in a row"), "more"));
        }
    }
    Ok(())
}

/// Each word with a `_` behind it, so that none is a keyword.
fn words(tokens: TokenStream) -> TokenStream {
    let each = |t: TokenTree| match t {
        TokenTree::Ident(i) => TokenTree::Ident(Ident::new(&format!("{i}_"), i.span())),
        TokenTree::Group(g) => TokenTree::Group(Group::new(g.delimiter(), words(g.stream()))),
        other => other,
    };
    tokens.into_iter().map(each).collect()
}

/// The word that a part of an expression is.
fn word(tree: &Expr) -> Result<String, OpError> {
    let Expr::Path(path) = tree else { return Err(refuse("the name of a function before `(`", "something else")) };
    let found = path.path.get_ident().map(ToString::to_string);
    let name = found.and_then(|w| w.strip_suffix('_').map(str::to_owned));
    name.ok_or_else(|| refuse("plain names", "something else"))
}

fn number(lit: &Lit) -> Result<f64, OpError> {
    let (digits, suffix) = match lit {
        Lit::Int(n) => (n.base10_digits(), n.suffix()),
        Lit::Float(n) => (n.base10_digits(), n.suffix()),
        _ => return Err(refuse("plain numbers", "something else")),
    };
    let value = digits.parse::<f64>().ok().filter(|v| suffix.is_empty() && v.is_finite());
    value.ok_or_else(|| refuse("finite numbers such as `2`, `0.5` or `1e-3`", format!("`{digits}{suffix}`")))
}

fn operator(op: &BinOp) -> Result<Binary, OpError> {
    Ok(match op {
        BinOp::Add(_) => Binary::Add,
        BinOp::Sub(_) => Binary::Subtract,
        BinOp::Mul(_) => Binary::Multiply,
        BinOp::Div(_) => Binary::Divide,
        BinOp::Lt(_) => Binary::Less,
        BinOp::Le(_) => Binary::LessEqual,
        BinOp::Gt(_) => Binary::Greater,
        BinOp::Ge(_) => Binary::GreaterEqual,
        BinOp::Eq(_) => Binary::Equal,
        BinOp::Ne(_) => Binary::NotEqual,
        BinOp::And(_) => Binary::And,
        BinOp::Or(_) => Binary::Or,
        _ => return Err(refuse("the operators + - * / < <= > >= == != && ||", "another one")),
    })
}

fn listed(names: &[String]) -> String {
    names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str) -> Result<Program, String> {
        Program::compile(text, &["a".into(), "where".into()]).map_err(|e| e.to_string())
    }

    #[test]
    fn precedence_is_that_of_formulas() {
        let steps = compiled("-a * 2 + where < 1 && !a").unwrap();
        let (num, bin, un) = (Step::Number, Step::Binary, Step::Unary);
        let want = [
            Step::Input(0),
            un(Unary::Negate),
            num(2.0),
            bin(Binary::Multiply),
            Step::Input(1),
            bin(Binary::Add),
            num(1.0),
            bin(Binary::Less),
            Step::Input(0),
            un(Unary::Not),
            bin(Binary::And),
        ];
        assert_eq!((&steps.steps[..], steps.depth), (&want[..], 2));
        assert_eq!(compiled("where(a, where, 1e-3)").unwrap().depth, 3);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |text: &str| compiled(text).unwrap_err();
        assert_eq!(said("a + b"), "parameter `expression`: expected names of its inputs (`a`, `where`), found `b`");
        assert!(said("a + ").contains("expected an expression such as"), "{}", said("a + "));
        assert!(said("a + 1").contains("no `where` in it"));
        assert!(said("sin(a) + where").contains("found `sin`"));
        assert!(said("max(a) + where").contains("expected 2 or more values for `max`, found 1"));
        assert!(said("a < where < 1").contains("found `a < where < 1`"));
        assert!(said("a + where; 1").contains("found `;`"));
        assert!(said("a + where + 1u8").contains("found `1u8`"));
        assert!(said("a.abs() + where").contains("something else"));
        for wild in ["(".repeat(1000), "-".repeat(1000), "a=".repeat(500), "(a,".repeat(40), "a-".repeat(500) + "where"]
        {
            assert!(compiled(&wild).is_err() || wild.ends_with("where"), "{wild}");
        }
    }
}
