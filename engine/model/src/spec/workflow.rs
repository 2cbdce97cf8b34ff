//! A workflow as the rest of the engine sees it: parameters substituted, includes and sub-workflows flattened,
//! `when:` decided where parameters tell, every part still knowing where in which file it stands.

use super::codec::ZarrCodec;
use crate::diag::Span;
use ops_core::DType;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts the two together.
    pub fn new(value: T, span: Span) -> Spanned<T> {
        Spanned { value, span }
    }
}

impl<T> std::ops::Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// JSON with the position of every value in it, by JSON pointer; keys are under the pointer of their value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpannedJson {
    /// The value.
    pub value: Json,
    /// Span of each value by JSON pointer (`""` is the whole).
    pub spans: BTreeMap<String, Span>,
    /// Span of each mapping key by the pointer of its value.
    pub keys: BTreeMap<String, Span>,
}

impl SpannedJson {
    /// The span of the value at a pointer, or of its nearest ancestor.
    pub fn span_at(&self, pointer: &str) -> Span {
        let mut p = pointer;
        loop {
            if let Some(s) = self.spans.get(p) {
                return *s;
            }
            match p.rfind('/') {
                Some(i) => p = &p[..i],
                None => return Span::default(),
            }
        }
    }
}

/// Where an effective setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The built-in default.
    Default,
    /// The workflow file, as `file:line`.
    Workflow(String),
    /// A params file.
    ParamsFile(String),
    /// The command line, as typed.
    CommandLine(String),
    /// An environment variable.
    Environment(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Workflow(at) => write!(f, "workflow {at}"),
            Origin::ParamsFile(at) => write!(f, "params file {at}"),
            Origin::CommandLine(typed) => write!(f, "command line {typed}"),
            Origin::Environment(name) => write!(f, "environment {name}"),
        }
    }
}

impl serde::Serialize for Origin {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A workflow parameter with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// The effective value.
    pub value: Json,
    /// Where it came from.
    pub origin: Origin,
}

/// What to do when an item fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// End the run.
    #[default]
    Stop,
    /// Leave that item out and go on; the run ends with exit code 5.
    Skip,
}

/// Which channels of an image are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// All, as stored.
    #[default]
    All,
    /// Red, green and blue: an alpha channel is dropped, a grey image is refused.
    Rgb,
}

/// What the elements of a generated input look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// All zero.
    #[default]
    Zeros,
    /// Uniform noise from a counter-based generator keyed on seed, item and index.
    Noise,
    /// The raster index of each element, wrapped to the dtype.
    Ramp,
    /// Bright balls of radius 3 to 9 at random places, one to each box of 24 elements along every axis, over noise of an
    /// eighth of the range: objects to find, across every face of every block.
    Blobs,
}

/// A generated input.
#[derive(Debug, Clone, PartialEq)]
pub struct Generate {
    /// Number of items of a family; `None` for a single array.
    pub items: Option<u64>,
    /// Extent along each axis.
    pub shape: Vec<u64>,
    /// Axes such as `"yx"`.
    pub axes: ops_core::Axes,
    /// Dtype.
    pub dtype: DType,
    /// Content.
    pub pattern: Pattern,
    /// Key of the noise.
    pub seed: u64,
}

/// Which level of a multiscale image is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Level {
    /// By number: 0 is the first listed, the finest.
    Number(u64),
    /// By the path it is listed with.
    Path(String),
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Level::Number(n) => write!(f, "{n}"),
            Level::Path(p) => write!(f, "\"{p}\""),
        }
    }
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum InputSource {
    /// One file.
    Path(Spanned<String>),
    /// Every file that a glob matches: a family.
    Foreach(Spanned<String>),
    /// Generated arrays.
    Generate(Spanned<Generate>),
}

/// One entry of `inputs:`.
#[derive(Debug, Clone, PartialEq)]
pub struct InputDecl {
    /// The name steps refer to.
    pub name: Spanned<String>,
    /// Where it comes from.
    pub source: InputSource,
    /// Directory that relative paths start from: that of the workflow file, or the working directory for values given
    /// on the command line.
    pub base: PathBuf,
    /// Which channels are taken.
    pub channels: Channels,
    /// Axes that override what the file says, such as `"zyx"` for a multi-page TIFF.
    pub axes: Option<Spanned<String>>,
    /// Which level of a multiscale image is taken.
    pub level: Option<Spanned<Level>>,
    /// What to do when an item fails.
    pub on_error: OnError,
    /// At most this many items in flight at once; `None` leaves it to the planner.
    pub batch: Option<u64>,
}

impl InputDecl {
    /// True for a `foreach` or generated items.
    pub fn is_family(&self) -> bool {
        match &self.source {
            InputSource::Path(_) => false,
            InputSource::Foreach(_) => true,
            InputSource::Generate(g) => g.items.is_some(),
        }
    }

    /// Where its source is written.
    pub fn span(&self) -> Span {
        match &self.source {
            InputSource::Path(s) | InputSource::Foreach(s) => s.span,
            InputSource::Generate(g) => g.span,
        }
    }
}

/// One connection into a step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepInput {
    /// Name of the op's input; `None` where the step has just one, given by `input:`.
    pub port: Option<Spanned<String>>,
    /// Name of the input or step it is connected to.
    pub from: Spanned<String>,
}

/// One step after flattening; steps of a sub-workflow are named `outer/inner`.
#[derive(Debug, Clone, PartialEq)]
pub struct StepDecl {
    /// The name.
    pub name: Spanned<String>,
    /// The op.
    pub op: Spanned<String>,
    /// What is connected.
    pub inputs: Vec<StepInput>,
    /// The op's parameters after substitution, checked against its schema.
    pub with: SpannedJson,
    /// What the metadata of an array has to be for the step to take part.
    pub when: Option<Condition>,
}

/// A condition on the metadata of an array, decided when the graph is built.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The input or step whose array is looked at.
    pub of: Spanned<String>,
    /// What has to hold, all of it.
    pub tests: Vec<Test>,
}

/// One fact about an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Its dtype is one of these.
    DType(Vec<DType>),
    /// Its axes, slowest first, are one of these.
    Axes(Vec<String>),
    /// Its number of axes.
    Rank(Bounds),
    /// Its extent along an axis: 1 where it has no such axis.
    Extent(ops_core::Axis, Bounds),
}

impl Test {
    /// True when the array is so.
    pub fn holds(&self, meta: &ops_core::ArrayMeta) -> bool {
        match self {
            Test::DType(any) => any.contains(&meta.dtype),
            Test::Axes(any) => any.contains(&meta.axes.to_string()),
            Test::Rank(bounds) => bounds.hold(meta.rank() as u64),
            Test::Extent(axis, bounds) => {
                let along = meta.axes.iter().position(|a| a == *axis);
                bounds.hold(along.and_then(|i| meta.shape.get(i)).copied().unwrap_or(1))
            }
        }
    }
}

/// Least and largest value, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The least.
    pub minimum: u64,
    /// The largest.
    pub maximum: u64,
}

impl Bounds {
    fn hold(self, n: u64) -> bool {
        (self.minimum..=self.maximum).contains(&n)
    }
}

/// A file format of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// PNG: 8 or 16 bits, grey, RGB or RGBA.
    Png,
    /// TIFF: any dtype, 2-D pages; BigTIFF where needed.
    Tiff,
    /// Zarr: any dtype, any rank.
    Zarr,
    /// OME-Zarr: an image of several levels, axes `tczyx` in this order.
    #[serde(rename = "ome-zarr")]
    OmeZarr,
    /// Comma-separated values, for tables.
    Csv,
    /// Apache Parquet, for tables.
    Parquet,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 6] =
        [Format::Png, Format::Tiff, Format::Zarr, Format::OmeZarr, Format::Csv, Format::Parquet];

    /// The file name extension.
    pub const fn extension(self) -> &'static str {
        match self {
            Format::OmeZarr => "ome.zarr",
            other => other.name(),
        }
    }

    /// True for formats whose arrays are Zarr arrays.
    pub const fn is_zarr(self) -> bool {
        matches!(self, Format::Zarr | Format::OmeZarr)
    }

    /// The name in workflows.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Tiff => "tiff",
            Format::Zarr => "zarr",
            Format::OmeZarr => "ome-zarr",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }

    /// True for formats that hold a table.
    pub const fn is_table(self) -> bool {
        matches!(self, Format::Csv | Format::Parquet)
    }
}

/// A version of the Zarr format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ZarrVersion {
    /// Version 2: older readers; no shards.
    V2,
    /// Version 3.
    #[default]
    V3,
}

/// What an element of a level of a pyramid is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PyramidMethod {
    /// The mean of the window.
    Mean,
    /// The first element of the window.
    Nearest,
    /// The most frequent element: for labels.
    Mode,
    /// The greatest element.
    Max,
    /// The least element.
    Min,
}

impl PyramidMethod {
    /// The name in workflows.
    pub const fn name(self) -> &'static str {
        match self {
            PyramidMethod::Mean => "mean",
            PyramidMethod::Nearest => "nearest",
            PyramidMethod::Mode => "mode",
            PyramidMethod::Max => "max",
            PyramidMethod::Min => "min",
        }
    }
}

/// The levels of an OME-Zarr output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pyramid {
    /// How many, the full one among them; `None` for as many as it takes until one chunk reaches across a level.
    pub levels: Option<u64>,
    /// What an element of a level is made from; `None` for the mean, or the mode of labels.
    pub method: Option<PyramidMethod>,
    /// The axes that are halved from level to level; `None` for y and x.
    pub axes: Option<Vec<ops_core::Axis>>,
}

impl Pyramid {
    /// The full level alone.
    pub const NONE: Pyramid = Pyramid { levels: Some(1), method: None, axes: None };
}

/// One entry of `outputs:`.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputDecl {
    /// The name: a directory (families) or file stem under `Results/`.
    pub name: Spanned<String>,
    /// The step or input that is written.
    pub from: Spanned<String>,
    /// The file format; `None` chooses Zarr for arrays and CSV for tables.
    pub format: Option<Spanned<Format>>,
    /// Where it goes instead of under `Results/`: a declared path outside the run directory.
    pub to: Option<Spanned<String>>,
    /// Directory that a relative `to` starts from.
    pub base: PathBuf,
    /// Chunk extents of a Zarr output.
    pub chunks: Option<Spanned<Vec<u64>>>,
    /// Shard extents of a Zarr output: whole multiples of its chunks.
    pub shards: Option<Spanned<Vec<u64>>>,
    /// How the chunks of a Zarr output are compressed.
    pub codec: Option<Spanned<ZarrCodec>>,
    /// Version of the Zarr format that the output's version stands on.
    pub version: Option<Spanned<ZarrVersion>>,
    /// The levels of an OME-Zarr output; `None` for the full one alone.
    pub pyramid: Option<Spanned<Pyramid>>,
    /// True for an OME-Zarr output whose elements are numbers of objects.
    pub labels: bool,
    /// File name of each item: `stem` (default) or `index`.
    pub naming: Naming,
}

/// How the files of a family's output are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Naming {
    /// By the stem of the input file.
    #[default]
    Stem,
    /// By the number of the item, as the mini app of the first seed does: `labeled-0-0-0`.
    Index,
}

/// The profile of a run: what may change without changing a byte of the results.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// Memory limit in bytes.
    pub memory: Option<Spanned<u64>>,
    /// Worker threads.
    pub threads: Option<Spanned<u64>>,
    /// Block extents along the spatial axes: one number for all, or the last ones of the list for the last axes.
    pub block: Option<Spanned<Vec<u64>>>,
}

/// One entry of `tests:`.
#[derive(Debug, Clone, PartialEq)]
pub struct TestDecl {
    /// What it checks.
    pub name: Spanned<String>,
    /// Params for this test.
    pub params: BTreeMap<String, Json>,
    /// The expectations, checked by `engine test`.
    pub expect: SpannedJson,
}

/// A whole workflow, flat.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Workflow {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Effective parameters by name.
    pub params: BTreeMap<String, Param>,
    /// Inputs in file order.
    pub inputs: Vec<InputDecl>,
    /// Steps in file order.
    pub steps: Vec<StepDecl>,
    /// Outputs in file order.
    pub outputs: Vec<OutputDecl>,
    /// The `run:` block.
    pub profile: Profile,
    /// The `tests:` block.
    pub tests: Vec<TestDecl>,
}
