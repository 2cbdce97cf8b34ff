//! Comparing results bit by bit.

use super::{Array, Expected, Held};
use crate::{ColumnData, DType, Table, Value};

/// Says where two results differ first.
pub(super) fn same(a: &Held, b: &Held) -> Result<(), String> {
    match (a, b) {
        (Held::Arrays(a), Held::Arrays(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().try_for_each(|(i, (a, b))| arrays(a, b).map_err(|e| format!("item {i}: {e}")))
        }
        (Held::Values(a), Held::Values(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().try_for_each(|(i, (a, b))| values(a, b).map_err(|e| format!("item {i}: {e}")))
        }
        _ => Err("another kind or number of results".into()),
    }
}

fn arrays(a: &Array, b: &Array) -> Result<(), String> {
    if a.meta != b.meta {
        return Err(format!("{} against {}", a.meta, b.meta));
    }
    bytes(a.meta.dtype, a.block.bytes(), b.block.bytes())
}

/// The bytes with every NaN made the same.
fn canonical(dtype: DType, bytes: &[u8]) -> Vec<u8> {
    let mut v = bytes.to_vec();
    match dtype {
        DType::Float32 => v.as_chunks_mut::<4>().0.iter_mut().for_each(|c| {
            if f32::from_ne_bytes(*c).is_nan() {
                *c = f32::NAN.to_ne_bytes();
            }
        }),
        DType::Float64 => v.as_chunks_mut::<8>().0.iter_mut().for_each(|c| {
            if f64::from_ne_bytes(*c).is_nan() {
                *c = f64::NAN.to_ne_bytes();
            }
        }),
        _ => (),
    }
    v
}

fn show(dtype: DType, bytes: &[u8]) -> String {
    match (dtype, bytes) {
        (DType::Float64, &[a, b, c, d, e, f, g, h]) => format!("{:?}", f64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        (DType::Float32, &[a, b, c, d]) => format!("{:?}", f32::from_ne_bytes([a, b, c, d])),
        _ => format!("bytes {bytes:?}"),
    }
}

fn bytes(dtype: DType, a: &[u8], b: &[u8]) -> Result<(), String> {
    if a.len() != b.len() {
        return Err(format!("{} bytes against {}", a.len(), b.len()));
    }
    let (a, b) = (canonical(dtype, a), canonical(dtype, b));
    let size = dtype.size();
    match a.chunks_exact(size).zip(b.chunks_exact(size)).position(|(x, y)| x != y) {
        None => Ok(()),
        Some(i) => {
            let at = i * size..(i + 1) * size;
            Err(format!("element {i}: {} against {}", show(dtype, &a[at.clone()]), show(dtype, &b[at])))
        }
    }
}

fn same_f64(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

fn numbers(a: &[f64], b: &[f64]) -> Result<(), String> {
    let same = a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same_f64(*x, *y));
    if same { Ok(()) } else { Err(format!("numbers {a:?} against {b:?}")) }
}

fn tables(a: &Table, b: &Table) -> Result<(), String> {
    if a.columns().len() != b.columns().len() || a.rows() != b.rows() {
        return Err(format!("table of {} rows against {}", a.rows(), b.rows()));
    }
    for (x, y) in a.columns().iter().zip(b.columns()) {
        let same = x.name == y.name
            && match (&x.data, &y.data) {
                (ColumnData::UInt64(p), ColumnData::UInt64(q)) => p == q,
                (ColumnData::Int64(p), ColumnData::Int64(q)) => p == q,
                (ColumnData::Float64(p), ColumnData::Float64(q)) => p.iter().zip(q).all(|(p, q)| same_f64(*p, *q)),
                _ => false,
            };
        if !same {
            return Err(format!("column {:?} {:?} against {:?} {:?}", x.name, x.data, y.name, y.data));
        }
    }
    Ok(())
}

/// States can only be told apart by what consumes them, and are not compared.
fn values(a: &Value, b: &Value) -> Result<(), String> {
    match (a, b) {
        (Value::Numbers(a), Value::Numbers(b)) => numbers(a, b),
        (Value::Table(a), Value::Table(b)) => tables(a, b),
        (Value::State(_), Value::State(_)) => Ok(()),
        _ => Err("another kind of value".into()),
    }
}

/// Holds a result against what the case's reference says.
pub(super) fn meets(got: &Held, want: &Expected) -> Result<(), String> {
    match (got, want) {
        (Held::Arrays(a), Expected::Bytes(w)) if a.len() == w.len() => {
            a.iter().zip(w).enumerate().try_for_each(|(i, (a, w))| {
                bytes(a.meta.dtype, a.block.bytes(), w).map_err(|e| format!("item {i}: {e}"))
            })
        }
        (Held::Arrays(a), Expected::Close(w, tolerance)) if a.len() == w.len() => {
            a.iter().zip(w).try_for_each(|(a, w)| close(&a.to_f64(), w, *tolerance))
        }
        (Held::Values(v), Expected::Table(w)) => match v.as_slice() {
            [Value::Table(t)] => tables(t, w),
            _ => Err("expected one table".into()),
        },
        (Held::Values(v), Expected::Numbers(w)) => match v.as_slice() {
            [Value::Numbers(n)] => numbers(n, w),
            _ => Err("expected numbers".into()),
        },
        (_, Expected::Refused) => Err("expected a refusal, found a result".into()),
        _ => Err("the result is of another kind than the reference's".into()),
    }
}

fn close(got: &[f64], want: &[f64], tolerance: f64) -> Result<(), String> {
    if got.len() != want.len() {
        return Err(format!("{} elements against {}", got.len(), want.len()));
    }
    let off =
        |g: f64, w: f64| !(same_f64(g, w) || g == w || (g - w).abs() <= tolerance * g.abs().max(w.abs()).max(1.0));
    match got.iter().zip(want).position(|(&g, &w)| off(g, w)) {
        None => Ok(()),
        Some(i) => Err(format!("element {i}: {:?} against {:?}", got[i], want[i])),
    }
}
