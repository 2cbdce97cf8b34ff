//! Images that are not there: metadata by name, so that workflows can be planned without a file.

use engine_model::catalog::{Access, Catalog, Items, SourceError, SourceMeta, SourceProblem};
use engine_model::spec::workflow::{Channels, InputDecl, InputSource};
use engine_runtime::store::read::generate;
use ops_core::{ArrayMeta, Axes, DType};
use std::path::Path;

/// A [`Catalog`] of images whose names say what they are: `.tif` a tiled volume of uint16, `grey` one channel, any
/// other colours of uint8. A pattern gives three items, the last of another size where it says `mixed`; a name with
/// `none` does not exist.
pub struct Pictures;

impl Catalog for Pictures {
    fn items(&self, input: &InputDecl) -> (Items, Vec<SourceError>) {
        let wrong = |path: &str, problem| {
            (Items::default(), vec![SourceError { path: path.into(), problem, similar: vec!["other.png".into()] }])
        };
        let (names, pattern) = match &input.source {
            InputSource::Generate(spec) => {
                return match generate::meta(&spec.value) {
                    Ok(meta) => (Items::generated(spec.value.items.unwrap_or(1), meta), vec![]),
                    Err(text) => wrong(&input.name.value, SourceProblem::Unsupported(text)),
                };
            }
            InputSource::Path(p) if p.value.contains("none") => {
                return wrong(&p.value, SourceProblem::Unreadable("no such file".into()));
            }
            InputSource::Foreach(p) if p.value.contains("none") => return wrong(&p.value, SourceProblem::NoMatch),
            InputSource::Path(p) => (vec![p.value.clone()], &p.value),
            InputSource::Foreach(p) => ((0..3).map(|i| format!("{}{i}", p.value)).collect(), &p.value),
        };
        let mut items = Items::default();
        for (i, name) in names.iter().enumerate() {
            let other = i == 2 && pattern.contains("mixed");
            match picture(pattern, input, if other { 70 } else { 60 }) {
                Some(meta) => items.push(Path::new(name), meta),
                None => return wrong(name, SourceProblem::Unsupported("`axes` does not fit the file".into())),
            }
        }
        (items, vec![])
    }
}

fn picture(name: &str, input: &InputDecl, height: u64) -> Option<SourceMeta> {
    let tiled = name.contains(".tif");
    let (shape, letters, dtype) = match (tiled, name.contains("grey")) {
        (true, _) => (vec![9, height, 80], "zyx", DType::UInt16),
        (false, true) => (vec![height, 80], "yx", DType::UInt8),
        (false, false) => (vec![height, 80, if input.channels == Channels::Rgb { 3 } else { 4 }], "yxc", DType::UInt8),
    };
    let axes = Axes::parse(input.axes.as_ref().map_or(letters, |a| a.value.as_str()))?;
    let access = if tiled { Access::Tiles(vec![1, 32, 32]) } else { Access::Whole };
    (axes.rank() == shape.len()).then(|| SourceMeta::new(ArrayMeta::new(&shape, dtype, axes), access, 300 << 10))
}
