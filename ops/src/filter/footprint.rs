//! Which neighbours count: a shape by its name, or zeros and ones.

use super::params::{Size, spatial};
use ops_core::{ArrayMeta, OpError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Elements of the box around a footprint that is no box itself: more is a mistake, and would take hours.
const LARGEST: usize = 1 << 20;

/// The neighbours that count: `{box: 5}`, `{cross: 1}` or `{ball: 3}`, or zeros and ones in lists nested as deeply as
/// the input has spatial axes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Footprint {
    /// A shape by its name and size.
    Shape(Shape),
    /// Along the only spatial axis.
    Line(Vec<u8>),
    /// Rows.
    Plane(Vec<Vec<u8>>),
    /// Planes of rows.
    Volume(Vec<Vec<Vec<u8>>>),
}

/// A shape around its centre.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// All elements of a box of this extent: one number, or one for each spatial axis in the order of the axes.
    Box(Size),
    /// All elements at most so many steps from the centre, each along one axis: `generate_binary_structure(rank, 1)` of
    /// scipy, iterated so many times.
    Cross(u64),
    /// All elements whose centre is at most this far from the centre.
    Ball(#[schemars(range(min = 0.0))] f64),
}

/// Elements that count: extents of a box along the spatial axes, and which of its elements in C order; all where there
/// is nothing.
pub(crate) type Elements = (Vec<usize>, Option<Vec<bool>>);

impl Footprint {
    /// The elements for an input; at least one counts.
    pub(crate) fn elements(&self, meta: &ArrayMeta) -> Result<Elements, OpError> {
        let axes = spatial(meta)?;
        let rank = axes.len();
        let refused = |found: &str| {
            let expected = format!("rows of equal length, nested {rank} deep, of 0 and 1, at least one 1");
            OpError::param("footprint", expected, found)
        };
        let (shape, values) = match self {
            Footprint::Shape(shape) => return shape.elements(meta),
            Footprint::Line(v) => (vec![v.len()], v.clone()),
            Footprint::Plane(rows) => {
                let columns = even(rows.iter().map(Vec::len)).ok_or_else(|| refused("rows of other lengths"))?;
                (vec![rows.len(), columns], rows.concat())
            }
            Footprint::Volume(planes) => {
                let rows = even(planes.iter().map(Vec::len)).ok_or_else(|| refused("planes of other lengths"))?;
                let columns = even(planes.iter().flatten().map(Vec::len));
                let columns = columns.ok_or_else(|| refused("rows of other lengths"))?;
                (vec![planes.len(), rows, columns], planes.concat().concat())
            }
        };
        if shape.len() != rank {
            return Err(refused(&format!("nested {} deep", shape.len())));
        }
        if values.iter().any(|&v| v > 1) {
            return Err(refused("other numbers"));
        }
        if !values.contains(&1) {
            return Err(refused("no 1"));
        }
        Ok((shape, Some(values.iter().map(|&v| v == 1).collect())))
    }

    /// The largest extent, where it does not depend on the input; for a rough cost.
    pub(crate) fn widest(&self) -> u64 {
        match self {
            Footprint::Shape(Shape::Box(size)) => size.widest(),
            Footprint::Shape(Shape::Cross(r)) => r.saturating_mul(2).saturating_add(1),
            Footprint::Shape(Shape::Ball(r)) => 2 * (*r as u64).min(u64::MAX / 4) + 1,
            Footprint::Line(v) => v.len() as u64,
            Footprint::Plane(v) => v.len() as u64,
            Footprint::Volume(v) => v.len() as u64,
        }
    }
}

/// The length that all have.
fn even(mut lengths: impl Iterator<Item = usize>) -> Option<usize> {
    let first = lengths.next()?;
    lengths.all(|n| n == first).then_some(first)
}

impl Shape {
    fn elements(&self, meta: &ArrayMeta) -> Result<Elements, OpError> {
        let axes = spatial(meta)?;
        let (radius, name, found) = match self {
            Shape::Box(size) => {
                let extents = size.extents(meta)?;
                return Ok((axes.iter().map(|&a| extents[a]).collect(), None));
            }
            Shape::Cross(r) => (*r as f64, "cross", r.to_string()),
            Shape::Ball(r) => (*r, "ball", r.to_string()),
        };
        let rank = axes.len();
        let extent = 2.0 * radius.floor() + 1.0;
        if !(radius >= 0.0 && extent.powi(rank as i32) <= LARGEST as f64) {
            let most = ((LARGEST as f64).powf(1.0 / rank as f64) as u64 - 1) / 2;
            return Err(OpError::param("footprint", format!("a {name} of a radius from 0 to {most}"), found));
        }
        let n = extent as usize;
        let counts = |mut i: usize| {
            let (mut steps, mut square) = (0.0, 0.0);
            for _ in 0..rank {
                let d = ((i % n) as f64 - radius.floor()).abs();
                i /= n;
                steps += d;
                square += d * d;
            }
            if matches!(self, Shape::Cross(_)) { steps <= radius } else { square <= radius * radius }
        };
        Ok((vec![n; rank], Some((0..n.pow(rank as u32)).map(counts).collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops_core::{Axes, DType};

    fn plane(with: serde_json::Value) -> Result<String, String> {
        let meta = ArrayMeta::new(&[9, 9], DType::UInt8, Axes::parse("yx").unwrap());
        let footprint: Footprint = serde_json::from_value(with).map_err(|e| e.to_string())?;
        let (shape, values) = footprint.elements(&meta).map_err(|e| e.to_string())?;
        let Some(values) = values else { return Ok(format!("all of {shape:?}")) };
        let row = |r: &[bool]| r.iter().map(|&b| if b { '1' } else { '0' }).collect::<String>();
        Ok(values.chunks(shape[1]).map(row).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn shapes_are_those_of_their_names() {
        use serde_json::json;
        assert_eq!(plane(json!({"cross": 2})).unwrap(), "00100 01110 11111 01110 00100");
        assert_eq!(plane(json!({"ball": 2})).unwrap(), "00100 01110 11111 01110 00100");
        assert_eq!(plane(json!({"ball": 1.5})).unwrap(), "111 111 111");
        assert_eq!(plane(json!({"ball": 2.3})).unwrap(), "01110 11111 11111 11111 01110");
        assert_eq!(plane(json!({"cross": 0})).unwrap(), "1");
        assert_eq!(plane(json!({"box": [2, 3]})).unwrap(), "all of [2, 3]");
        assert_eq!(plane(json!([[0, 1], [1, 1]])).unwrap(), "01 11");
        assert!(plane(json!({"ball": 2000})).unwrap_err().contains("from 0 to 511"));
        assert!(plane(json!({"ball": -1})).unwrap_err().contains("from 0 to 511"));
        assert!(plane(json!([[0, 1], [1]])).unwrap_err().contains("other lengths"));
        assert!(plane(json!([[0, 0]])).unwrap_err().contains("no 1"));
        assert!(plane(json!([1, 1])).unwrap_err().contains("nested 1 deep"));
        assert!(plane(json!({"ring": 2})).is_err());
    }
}
