//! Small languages inside values: sizes, axes, patterns of file names.

use super::place::Place;
use engine_model::catalog::Catalog;
use engine_model::diag::{Report, Sources, Span};
use engine_model::spec::workflow::{Channels, InputDecl, InputSource, OnError, Spanned};
use engine_model::spec::{parse_bytes, yaml};
use engine_runtime::store::catalog::FileCatalog;
use ops_core::Axes;
use std::path::Path;

/// Text that is read as a size, as axes, as a value and as a pattern.
pub fn terms(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(bytes) = parse_bytes(text) {
        assert!((1..1 << 63).contains(&bytes), "{text:?} is {bytes} bytes");
    }
    if let Some(axes) = Axes::parse(text) {
        assert!(axes.to_string().eq_ignore_ascii_case(text), "axes are written as they are read");
    }
    let mut report = Report::default();
    let mut sources = Sources::default();
    let file = sources.add("value".as_ref(), text.into());
    if let Some(node) = yaml::parse(text, file, 0, &mut report) {
        node.to_json();
        node.describe();
    }
    pattern(text);
}

const GREY: &[u8] = include_bytes!("../../tests/golden/diagnostics/opened/grey8.png");

thread_local!(static PLACE: Place = Place::new(
    "terms",
    &[("img1.png", GREY), ("img10.png", GREY), ("IMG2.png", b""), ("a[b]/c.png", GREY), (".hidden/img.png", GREY)],
));

/// A pattern below a directory of this thread; those that would leave it are left out.
fn pattern(text: &str) {
    if text.starts_with('/') || text.contains("..") {
        return;
    }
    let decl = |base: &Path| InputDecl {
        name: Spanned::new("image".into(), Span::default()),
        source: InputSource::Foreach(Spanned::new(text.into(), Span::default())),
        base: base.into(),
        channels: Channels::All,
        axes: None,
        level: None,
        on_error: OnError::Stop,
        batch: None,
    };
    let (items, errors) = PLACE.with(|place| FileCatalog.items(&decl(place.path())));
    assert!(!items.is_empty() || !errors.is_empty(), "no file and no reason");
}
