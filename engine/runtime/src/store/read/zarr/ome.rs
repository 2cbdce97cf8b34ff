//! Groups that OME-NGFF gives a meaning: multiscale images, label images, plates.
//!
//! Read are 0.4 (attributes of Zarr v2) and 0.5 (attribute `ome` of Zarr v3), and the older 0.1 to 0.3, which say
//! less of their axes. <https://ngff.openmicroscopy.org/0.5/>

use super::{axis_of, corrupt, not_one, unsupported};
use crate::store::StoreError;
use crate::store::keys::Keys;
use engine_model::catalog::{AxisScale, Real};
use engine_model::spec::workflow::Level;
use ops_core::Axes;
use serde_json::{Map, Value as Json};
use std::path::Path;

const VERSIONS: [&str; 5] = ["0.1", "0.2", "0.3", "0.4", "0.5"];

/// Names that a message lists at most.
const LISTED: usize = 8;

/// One level of a multiscale image.
pub(super) struct Image<'a> {
    /// Path of its array in the group.
    pub(super) dataset: String,
    multiscale: &'a Map<String, Json>,
    transforms: Option<&'a Json>,
}

/// The level that is meant of the multiscale image a group is.
pub(super) fn image<'a>(
    store: &dyn Keys,
    attributes: &'a Map<String, Json>,
    level: Option<&Level>,
) -> Result<Image<'a>, StoreError> {
    let path = store.root();
    let ome = attributes.get("ome").and_then(Json::as_object);
    let about = ome.unwrap_or(attributes);
    let Some(multiscales) = about.get("multiscales") else { return Err(no_image(store, about)) };
    // Several multiscales are allowed; the first is the image unless someone chooses.
    let multiscale = multiscales.as_array().and_then(|m| m.first()?.as_object());
    let multiscale = multiscale.ok_or_else(|| corrupt(path, "`multiscales` is no list of mappings".into()))?;
    let version = about.get("version").filter(|_| ome.is_some()).or_else(|| multiscale.get("version"));
    if let Some(version) = version.and_then(Json::as_str)
        && !VERSIONS.contains(&version)
    {
        let text = format!("OME-Zarr {version}, supported are {}", VERSIONS.join(", "));
        return Err(unsupported(path, text));
    }
    let datasets = multiscale.get("datasets").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let paths: Option<Vec<&str>> = datasets.iter().map(|d| d.get("path")?.as_str()).collect();
    let paths = paths.filter(|p| !p.is_empty());
    let Some(paths) = paths else {
        return Err(corrupt(path, "`multiscales` lists no `datasets` with a `path`".into()));
    };
    let at = match level {
        None => Some(0),
        Some(Level::Number(n)) => usize::try_from(*n).ok().filter(|n| *n < paths.len()),
        Some(Level::Path(p)) => paths.iter().position(|q| q == p),
    };
    let (Some(at), Some(level)) = (at, level.or(Some(&Level::Number(0)))) else {
        let asked = level.map_or_else(String::new, |l| format!(", found `level: {l}`"));
        let paths = listed(paths.iter().copied());
        let text = format!("the image has the levels 0 to {} ({paths}){asked}", datasets.len() - 1);
        return Err(not_one(path, text));
    };
    // A path that leaves the group is not followed.
    if Path::new(paths[at]).components().any(|c| !matches!(c, std::path::Component::Normal(_))) {
        let text = format!("level {level} has the path `{}`, expected one inside the group", paths[at]);
        return Err(corrupt(path, text));
    }
    let transforms = datasets[at].get("coordinateTransformations");
    Ok(Image { dataset: paths[at].to_owned(), multiscale, transforms })
}

/// Why a group is not one array, and what could be named instead.
fn no_image(store: &dyn Keys, about: &Map<String, Json>) -> StoreError {
    let names = |json: Option<&Json>, key: &str| -> Option<String> {
        let list = json?.as_array()?;
        Some(listed(list.iter().filter_map(|v| v.get(key).unwrap_or(v).as_str())))
    };
    let text = if let Some(plate) = about.get("plate") {
        let wells = names(plate.get("wells"), "path").unwrap_or_default();
        format!(
            "a plate with the wells {wells}; plates are not read as one, name one image: WELL/FIELD behind this path"
        )
    } else if let Some(well) = about.get("well") {
        let images = names(well.get("images"), "path").unwrap_or_default();
        format!("a well with the images {images}; name one of them behind this path")
    } else if let Some(labels) = names(about.get("labels"), "name") {
        format!("a group with the label images {labels}; name one of them behind this path")
    } else if about.contains_key("bioformats2raw.layout") {
        "a collection of images (bioformats2raw); name one of them behind this path, such as `0`".into()
    } else {
        let inside = children(store);
        match inside.is_empty() {
            true => "a Zarr group without arrays".into(),
            false => format!(
                "a Zarr group; name an array behind this path: it has {}",
                listed(inside.iter().map(String::as_str))
            ),
        }
    };
    not_one(store.root(), text)
}

/// Arrays and groups right below a group, for a message.
fn children(store: &dyn Keys) -> Vec<String> {
    let metadata = ["zarr.json", ".zarray", ".zgroup"];
    // For a message; what can't be looked at is left out.
    let is_node = |name: &String| metadata.iter().any(|k| store.has(&format!("{name}/{k}")).unwrap_or(false));
    let mut names: Vec<String> = store.names(10 * LISTED).into_iter().filter(is_node).collect();
    names.sort_by(|a, b| crate::store::natural::compare(a, b));
    names
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = names.collect();
    let shown: Vec<String> = all.iter().take(LISTED).map(|n| format!("`{n}`")).collect();
    let more = if all.len() > LISTED { format!(" and {} more", all.len() - LISTED) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

impl Image<'_> {
    /// The axes of its arrays.
    pub(super) fn axes(&self, path: &Path, rank: usize) -> Result<Axes, StoreError> {
        let Some(listed) = self.multiscale.get("axes") else {
            // Until 0.2 images had five dimensions, always these.
            let axes = Axes::parse("tczyx").filter(|a| a.rank() == rank);
            return axes.ok_or_else(|| corrupt(path, format!("no `axes` for an array of {rank} dimensions")));
        };
        let names: Option<Vec<&str>> =
            listed.as_array().and_then(|l| l.iter().map(|a| a.get("name").unwrap_or(a).as_str()).collect());
        let names = names.ok_or_else(|| corrupt(path, "`axes` is no list of axes with a `name`".into()))?;
        if names.len() != rank {
            let text = format!("{} `axes` for an array of {rank} dimensions", names.len());
            return Err(corrupt(path, text));
        }
        let letters: Option<String> = names.iter().map(|n| axis_of(n).map(|a| a.name())).collect();
        letters.and_then(|l| Axes::parse(&l)).ok_or_else(|| {
            let text = format!("the axes {}, supported are t, c, z, y, x, each once", names.join(", "));
            unsupported(path, text)
        })
    }

    /// Scale, translation and unit along each axis: the transformations of the level, then those of the image.
    pub(super) fn scales(&self, path: &Path, axes: &Axes) -> Result<Vec<AxisScale>, StoreError> {
        let rank = axes.rank();
        let (mut scale, mut translation) = (vec![1.0; rank], vec![0.0; rank]);
        let mut told = false;
        for list in [self.transforms, self.multiscale.get("coordinateTransformations")].into_iter().flatten() {
            for t in list.as_array().map(Vec::as_slice).unwrap_or_default() {
                let kind = t.get("type").and_then(Json::as_str).unwrap_or_default();
                let numbers = |key: &str| -> Result<Vec<f64>, StoreError> {
                    let numbers = t.get(key).and_then(Json::as_array);
                    let numbers: Option<Vec<f64>> = numbers.and_then(|v| v.iter().map(Json::as_f64).collect());
                    numbers.filter(|v| v.len() == rank && v.iter().all(|x| x.is_finite())).ok_or_else(|| {
                        corrupt(path, format!("a coordinate transformation without {rank} finite numbers as `{key}`"))
                    })
                };
                match kind {
                    "scale" => {
                        let by = numbers("scale")?;
                        scale.iter_mut().zip(&by).for_each(|(s, b)| *s *= b);
                        translation.iter_mut().zip(&by).for_each(|(t, b)| *t *= b);
                    }
                    "translation" => {
                        translation.iter_mut().zip(numbers("translation")?).for_each(|(t, b)| *t += b);
                    }
                    "identity" => {}
                    other => {
                        let text = format!(
                            "a coordinate transformation of type \"{other}\", supported are scale and translation"
                        );
                        return Err(unsupported(path, text));
                    }
                }
                told = true;
            }
        }
        let units: Vec<Option<String>> = match self.multiscale.get("axes").and_then(Json::as_array) {
            Some(list) => list.iter().map(|a| a.get("unit")?.as_str().map(str::to_owned)).collect(),
            None => vec![None; rank],
        };
        if !told && units.iter().all(Option::is_none) {
            return Ok(Vec::new());
        }
        let each = axes.iter().zip(scale.iter().zip(&translation)).zip(units);
        Ok(each
            .map(|((axis, (s, t)), unit)| AxisScale { axis, scale: Real::from(*s), translation: Real::from(*t), unit })
            .collect())
    }
}
