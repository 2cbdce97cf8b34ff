//! The metadata of OME-Zarr images: 0.4 in groups of Zarr v2, 0.5 in groups of Zarr v3.
//! <https://ngff.openmicroscopy.org/0.5/>

use super::zarr::metadata;
use engine_model::catalog::AxisScale;
use engine_model::graph::Image;
use engine_model::spec::workflow::ZarrVersion;
use ops_core::Axis;
use serde_json::{Map, Value as Json, json};

/// The documents of the groups of an image by their keys, for items of a class; the last one makes it an image.
pub fn documents(image: &Image, class: usize, version: ZarrVersion) -> Vec<(String, String)> {
    let scales = image.scales.get(class).or_else(|| image.scales.first()).map(Vec::as_slice).unwrap_or_default();
    let last = |path: &String| path.rsplit('/').next().unwrap_or(path).to_owned();
    let datasets: Vec<Json> = image.paths.iter().zip(scales).map(|(path, s)| dataset(&last(path), s)).collect();
    let mut multiscale = Map::new();
    if version == ZarrVersion::V2 {
        multiscale.insert("version".into(), json!(number(version)));
    }
    multiscale.insert("name".into(), json!(image.name));
    let axes = scales.first().map(Vec::as_slice).unwrap_or_default();
    multiscale.insert("axes".into(), axes.iter().map(axis).collect());
    multiscale.insert("datasets".into(), json!(datasets));
    if image.paths.len() > 1 {
        multiscale.insert("type".into(), json!(image.method.name()));
    }
    let mut own = Map::from_iter([("multiscales".to_owned(), json!([multiscale]))]);
    let mut groups: Vec<(String, Map<String, Json>)> = Vec::new();
    if image.labels {
        let mut about = Map::new();
        if version == ZarrVersion::V2 {
            about.insert("version".into(), json!(number(version)));
        }
        own.insert("image-label".into(), json!(about));
        let list = Map::from_iter([("labels".to_owned(), json!([image.name]))]);
        groups.push((format!("labels/{}/", image.name), attributes(own, version)));
        groups.push(("labels/".into(), attributes(list, version)));
        groups.push((String::new(), Map::new()));
    } else {
        groups.push((String::new(), attributes(own, version)));
    }
    let keyed = |(prefix, attributes): (String, Map<String, Json>)| {
        metadata::group(version, &attributes).into_iter().map(move |(key, text)| (format!("{prefix}{key}"), text))
    };
    groups.into_iter().flat_map(keyed).collect()
}

/// The version of OME-Zarr that stands on a version of Zarr.
fn number(version: ZarrVersion) -> &'static str {
    match version {
        ZarrVersion::V2 => "0.4",
        ZarrVersion::V3 => "0.5",
    }
}

/// Attributes where the version has them.
fn attributes(mut own: Map<String, Json>, version: ZarrVersion) -> Map<String, Json> {
    match version {
        ZarrVersion::V2 => own,
        ZarrVersion::V3 => {
            own.insert("version".into(), json!(number(version)));
            Map::from_iter([("ome".to_owned(), Json::Object(own))])
        }
    }
}

fn axis(scale: &AxisScale) -> Json {
    let kind = match scale.axis {
        Axis::T => "time",
        Axis::C => "channel",
        _ => "space",
    };
    let mut axis = json!({"name": scale.axis.name().to_string(), "type": kind});
    if let Some(unit) = &scale.unit {
        axis["unit"] = json!(unit);
    }
    axis
}

fn dataset(path: &str, scales: &[AxisScale]) -> Json {
    let scale: Vec<f64> = scales.iter().map(|s| s.scale.get()).collect();
    let translation: Vec<f64> = scales.iter().map(|s| s.translation.get()).collect();
    let mut transformations = vec![json!({"type": "scale", "scale": scale})];
    if translation.iter().any(|t| *t != 0.0) {
        transformations.push(json!({"type": "translation", "translation": translation}));
    }
    json!({"path": path, "coordinateTransformations": transformations})
}
