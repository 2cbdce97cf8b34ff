//! The workflow file as Rust types: the doc comments here are the descriptions an editor shows, and the structural
//! JSON Schema is generated from them.
//!
//! Names of steps, inputs and outputs are mapping keys. Any scalar, list or mapping value below `inputs`, `steps`,
//! `outputs` and `run` may also be a `${params.name}` reference; it is replaced before these types are read.

use super::codec::CodecFile;
use super::workflow::{Channels, Format, Naming, OnError, Pattern, PyramidMethod};
use ops_core::DType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// A workflow: inputs, steps that compute, outputs that are written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("patternProperties" = {"^x-": {"description": "Free for notes and for other tools."}}))]
pub struct WorkflowFile {
    /// Version of the workflow language: 1.
    pub version: Version,
    /// Name of the workflow; the file's name without extension when left out.
    pub name: Option<String>,
    /// What the workflow is for.
    pub description: Option<String>,
    /// Other files whose `params`, `inputs` and `steps` are joined with this one's, relative to this file.
    #[serde(default)]
    pub include: Vec<String>,
    /// Parameters: values that `--set`, a params file or a workflow that uses this one can change.
    #[serde(default)]
    pub params: BTreeMap<String, ParamFile>,
    /// Inputs: the images and arrays that are read.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputFile>,
    /// Steps: each applies an op to inputs and other steps, in any order.
    #[serde(default)]
    pub steps: BTreeMap<String, StepFile>,
    /// Outputs: what is written, one entry of `Results/` each.
    #[serde(default)]
    pub outputs: BTreeMap<String, OutputFile>,
    /// Profile: what may change without changing a byte of the results.
    pub run: Option<RunFile>,
    /// Checks that `engine test` runs.
    #[serde(default)]
    pub tests: Vec<TestFile>,
}

/// The version of the workflow language.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Version(pub u64);

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"enum": [1]})
    }
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// Text, such as a path or a glob.
    String,
    /// A number with or without a fraction.
    Number,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// A list of numbers, texts or booleans.
    List,
}

impl ParamType {
    /// The name in workflows.
    pub const fn name(self) -> &'static str {
        match self {
            ParamType::String => "string",
            ParamType::Number => "number",
            ParamType::Integer => "integer",
            ParamType::Boolean => "boolean",
            ParamType::List => "list",
        }
    }
}

/// A parameter of the workflow.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParamFile {
    /// What values are accepted.
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// The value when none is given; a parameter without default has to be given one.
    pub default: Option<Json>,
    /// Smallest accepted number.
    pub minimum: Option<f64>,
    /// Largest accepted number.
    pub maximum: Option<f64>,
    /// The only accepted values.
    #[schemars(length(min = 1))]
    pub choices: Option<Vec<Json>>,
    /// What it is for.
    pub description: Option<String>,
}

/// A level of a multiscale image: its number, or the path it is listed with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LevelFile(pub Json);

impl JsonSchema for LevelFile {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Level".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A level of a multiscale image: its number, 0 for the finest, or the path it is listed with.",
            "type": ["integer", "string"],
            "minimum": 0,
            "minLength": 1,
        })
    }
}

/// An input: exactly one of `foreach`, `path` and `generate`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputFile {
    /// A glob: every file or Zarr array that matches is an item, in natural order of their names.
    #[schemars(length(min = 1))]
    pub foreach: Option<String>,
    /// One file, or one Zarr array: the store's directory or URL (`s3://`, `http://`, `https://`), or a path inside it.
    #[schemars(length(min = 1))]
    pub path: Option<String>,
    /// Generated arrays, for tests and measurements.
    pub generate: Option<GenerateFile>,
    /// What to do when an item fails: `stop` the run, or `skip` the item.
    #[serde(default)]
    pub on_error: OnError,
    /// Most items in flight at once.
    #[schemars(range(min = 1))]
    pub batch: Option<u64>,
    /// Which channels of an image are taken: `all`, or `rgb` (an alpha channel is dropped).
    #[serde(default)]
    pub channels: Channels,
    /// Axes that override what the file says, slowest first, such as `zyx` for the pages of a TIFF.
    #[schemars(regex(pattern = "^[tczyx]{1,5}$"))]
    pub axes: Option<String>,
    /// Which level of an OME-Zarr image is taken; the finest when left out.
    pub level: Option<LevelFile>,
}

/// Generated arrays.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateFile {
    /// Number of items; a single array when left out.
    #[schemars(range(min = 1))]
    pub items: Option<u64>,
    /// Extent along each axis.
    #[schemars(length(min = 1, max = 5), inner(range(min = 1)))]
    pub shape: Vec<u64>,
    /// Axes, slowest first; `x`, `yx` or `zyx` when left out.
    #[schemars(regex(pattern = "^[tczyx]{1,5}$"))]
    pub axes: Option<String>,
    /// Type of the elements.
    pub dtype: DType,
    /// What the elements look like.
    #[serde(default)]
    pub pattern: Pattern,
    /// Key of the noise: another seed gives other elements.
    #[serde(default)]
    pub seed: u64,
}

/// A step: exactly one of `op`, `use` and `repeat`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("patternProperties" = {"^x-": {"description": "Free for notes and for other tools."}}))]
pub struct StepFile {
    /// The op to apply; `engine ops` lists them.
    pub op: Option<String>,
    /// Another workflow to use as one step, relative to this file.
    #[serde(rename = "use")]
    #[schemars(length(min = 1))]
    pub uses: Option<String>,
    /// Steps to unroll several times, carrying results from each time to the next.
    pub repeat: Option<RepeatFile>,
    /// The input or step it works on, where it takes one: a name, or `step.Output` of a used workflow.
    pub input: Option<String>,
    /// The inputs or steps it works on, by the names the op gives them, or that you give them where it leaves that to you.
    pub inputs: Option<BTreeMap<String, String>>,
    /// Parameters of the op, or of the used workflow.
    pub with: Option<Map<String, Json>>,
    /// Whether the step takes part, decided before anything runs. A step that is off passes its one input on.
    pub when: Option<When>,
}

/// A condition: a boolean reference such as `${params.denoise}`, `{param: name, equals: value}`, or
/// `{input: name, rank: 3}` with what has to be known of the array.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct When(pub Json);

impl JsonSchema for When {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "When".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let bounds = |what: &str, least: u64| {
            schemars::json_schema!({
                "description": format!("{what}: a number, or `{{minimum, maximum}}`."),
                "anyOf": [
                    {"type": "integer", "minimum": least},
                    {
                        "type": "object",
                        "properties": {
                            "minimum": {"type": "integer", "minimum": least, "description": "The least that is accepted."},
                            "maximum": {"type": "integer", "minimum": least, "description": "The most that is accepted."},
                        },
                        "minProperties": 1,
                        "additionalProperties": false,
                    },
                ],
            })
        };
        let extents: Map<String, Json> = ["t", "c", "z", "y", "x"]
            .into_iter()
            .map(|axis| (axis.to_owned(), bounds("Extent along this axis, 1 where there is none", 1).to_value()))
            .collect();
        let names: Vec<&str> = DType::ALL.iter().map(|d| d.name()).collect();
        let dtype = schemars::json_schema!({"type": "string", "enum": names});
        let axes = schemars::json_schema!({"type": "string", "pattern": "^[tczyx]{1,5}$"});
        schemars::json_schema!({
            "description": "A condition: a boolean such as `${params.denoise}`, `{param: method, equals: otsu}`, or `{input: image, rank: 3}`.",
            "anyOf": [
                {"type": "boolean"},
                {
                    "type": "object",
                    "properties": {
                        "param": {"type": "string", "description": "Name of the parameter that is compared."},
                        "equals": {"description": "The value at which the step takes part."},
                    },
                    "required": ["param", "equals"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": {
                        "input": {"type": "string", "description": "The input or step whose array is looked at."},
                        "dtype": {
                            "description": "Its dtype, or a list of those accepted.",
                            "anyOf": [dtype, {"type": "array", "items": dtype, "minItems": 1}],
                        },
                        "axes": {
                            "description": "Its axes, slowest first, or a list of those accepted.",
                            "anyOf": [axes, {"type": "array", "items": axes, "minItems": 1}],
                        },
                        "rank": bounds("Its number of axes", 1),
                        "extent": {
                            "description": "Its extents by axis.",
                            "type": "object",
                            "properties": extents,
                            "minProperties": 1,
                            "additionalProperties": false,
                        },
                    },
                    "required": ["input"],
                    "minProperties": 2,
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// Steps that are unrolled several times.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepeatFile {
    /// How many times.
    #[schemars(range(min = 1, max = 1000))]
    pub times: u64,
    /// Refused: a condition to stop at can't be decided before the run.
    pub until: Option<Json>,
    /// What goes from one time to the next: the name the body sees, and the body's step that makes its next value. The
    /// first value is the step's input of that name, or its one `input`.
    #[schemars(length(min = 1))]
    pub carry: BTreeMap<String, String>,
    /// The body.
    #[schemars(length(min = 1))]
    pub steps: BTreeMap<String, StepFile>,
}

/// An output.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("patternProperties" = {"^x-": {"description": "Free for notes and for other tools."}}))]
pub struct OutputFile {
    /// The step or input that is written.
    pub from: String,
    /// File format; `zarr` for arrays and `csv` for tables when left out.
    pub format: Option<Format>,
    /// Where it is written instead of under `Results/`, relative to this file; Zarr also to `s3://BUCKET/KEY`.
    #[schemars(length(min = 1))]
    pub to: Option<String>,
    /// Chunk extents of a Zarr output, one for each axis.
    #[schemars(length(min = 1, max = 5), inner(range(min = 1)))]
    pub chunks: Option<Vec<u64>>,
    /// Shard extents of a Zarr output, whole multiples of `chunks`: a shard is one file of many chunks.
    #[schemars(length(min = 1, max = 5), inner(range(min = 1)))]
    pub shards: Option<Vec<u64>>,
    /// How the chunks of a Zarr output are compressed: a name, or `{name, level, shuffle, checksum}`; `blosc-lz4` when left out.
    pub codec: Option<CodecFile>,
    /// Version of the format: 2 or 3 of Zarr, 0.4 or 0.5 of OME-Zarr; the later when left out.
    pub version: Option<FormatVersion>,
    /// Levels of an OME-Zarr output; the full one alone when left out.
    pub pyramid: Option<PyramidFile>,
    /// True where the elements of an OME-Zarr output are numbers of objects: it becomes a label image.
    pub labels: Option<bool>,
    /// File name of each item: the `stem` of its input file, or its `index`.
    #[serde(default)]
    pub naming: Naming,
}

/// The version of an output's format.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FormatVersion(pub Json);

impl JsonSchema for FormatVersion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FormatVersion".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Version of the format: 2 or 3 of Zarr, 0.4 or 0.5 of OME-Zarr; the later when left out.",
            "enum": [2, 3, 0.4, 0.5],
        })
    }
}

/// Levels of an OME-Zarr output, each half as large as the one before it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PyramidFile {
    /// How many, the full one among them; `auto`, or left out, until one chunk reaches across a level.
    pub levels: Option<Levels>,
    /// What an element of a level is made from; `mean` when left out, `mode` for labels.
    pub method: Option<PyramidMethod>,
    /// Axes that are halved, such as `zyx`; y and x when left out.
    #[schemars(regex(pattern = "^[tczyx]{1,5}$"))]
    pub axes: Option<String>,
}

/// A number of levels, or `auto`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Levels(pub Json);

impl JsonSchema for Levels {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Levels".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "How many levels, the full one among them; `auto`, or left out, until one chunk reaches across a level.",
            "type": ["integer", "string"],
            "minimum": 1,
            "maximum": 32,
            "pattern": "^auto$",
        })
    }
}

/// The profile of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// Memory limit, such as `4GiB` or a number of bytes.
    pub memory: Option<Size>,
    /// Worker threads.
    #[schemars(range(min = 1, max = 4096))]
    pub threads: Option<u64>,
    /// Block extent along every spatial axis, or a list for the last axes.
    pub block: Option<BlockSize>,
}

/// A number of bytes, or text such as `4GiB`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Size(pub Json);

impl JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number of bytes, with one of the units KiB, MiB, GiB, TiB, kB, MB, GB, TB where it is text.",
            "type": ["string", "integer"],
            "minimum": 1,
        })
    }
}

/// Block extents: one number, or a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BlockSize(pub Json);

impl JsonSchema for BlockSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BlockSize".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Elements along every spatial axis, or a list for the last axes.",
            "type": ["integer", "array"],
            "minimum": 1,
            "minItems": 1,
            "maxItems": 5,
            "items": {"type": "integer", "minimum": 1},
        })
    }
}

/// A check that `engine test` runs: the workflow with these params gives these results.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestFile {
    /// What is checked.
    pub name: String,
    /// Values of the workflow's parameters for this check.
    #[serde(default)]
    pub params: BTreeMap<String, Json>,
    /// What is expected.
    pub expect: ExpectFile,
}

/// What a check expects.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpectFile {
    /// Expectations of outputs, by output and then by item: the stem or number that names its file, `"*"` for each of
    /// them, or the output's own name where it is one file.
    #[serde(default)]
    pub outputs: BTreeMap<String, BTreeMap<String, ContentFile>>,
    /// Numbers that reductions find, as `Reports/values.yaml` has them: by `node` and then by item, `"*"` for each, or
    /// the node's own name where it is no item's.
    #[serde(default)]
    pub values: BTreeMap<String, BTreeMap<String, NumbersFile>>,
    /// Exit code of the run; 0 when left out.
    #[schemars(range(min = 0, max = 7))]
    pub exit: Option<u8>,
}

/// Numbers that a reduction is expected to find.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NumbersFile {
    /// All of its numbers, in the order of the record.
    #[schemars(length(min = 1))]
    pub numbers: Vec<f64>,
    /// Relative tolerance of each; 1e-9 when left out.
    #[schemars(range(min = 0.0))]
    pub tolerance: Option<f64>,
}

/// What is expected of the decoded elements of one item, or of a table's rows.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentFile {
    /// Number of labels: of different non-zero values.
    pub labels: Option<u64>,
    /// Sum of all elements.
    pub sum: Option<f64>,
    /// Smallest element.
    pub min: Option<f64>,
    /// Largest element.
    pub max: Option<f64>,
    /// Mean of all elements.
    pub mean: Option<f64>,
    /// Number of elements that are not zero.
    pub count_nonzero: Option<u64>,
    /// Number of rows of a table.
    pub rows: Option<u64>,
    /// Extent along each axis.
    pub shape: Option<Vec<u64>>,
    /// Type of the elements.
    pub dtype: Option<DType>,
    /// SHA-256 of the decoded elements in C order, little-endian; of the bytes of the file for a table.
    #[schemars(regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
    /// Relative tolerance of `sum`, `min`, `max` and `mean`; 1e-9 when left out.
    #[schemars(range(min = 0.0))]
    pub tolerance: Option<f64>,
}
