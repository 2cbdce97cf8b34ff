//! The files of `Reports` that are written once: workflow, graph, plan, configuration, cluster.
//!
//! Every file appears whole or not at all: it is written beside its place and renamed into it. Passwords and query
//! secrets are taken out of every URL, and what a setting's name says is secret is not written. Only the copy of the
//! workflow is exactly what was given, byte for byte, or its digest would not be that of the original.

use serde::Serialize;
use serde_yaml::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::secret::redact;
use engine_model::spec::workflow::Origin;

/// Why a file of the record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system said no.
    #[error("{}: cannot write this file of the record: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// The value has no YAML form, such as a map whose keys are maps.
    #[error("{}: no YAML can be made of its contents: {source}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What the serialiser said.
        source: serde_yaml::Error,
    },
}

/// One effective setting.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// Its name, such as `memory` or `params.sigma`.
    pub name: String,
    /// What is in force.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// The directory `Reports` of a run.
#[derive(Debug, Clone)]
pub struct Record {
    reports: PathBuf,
}

impl Record {
    /// Makes `Reports` in a run directory where it is not there yet.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(run_dir: &Path) -> Result<Self, RecordError> {
        let reports = run_dir.join("Reports");
        fs::create_dir_all(&reports).map_err(|source| RecordError::Io { path: reports.clone(), source })?;
        Ok(Self { reports })
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.reports
    }

    /// Copies a workflow as given to `workflow.yaml`, and its BLAKE3 digest to `workflow.yaml.b3`, which
    /// `b3sum --check` reads. Returns the digest.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn workflow(&self, text: &[u8]) -> Result<String, RecordError> {
        let digest = blake3::hash(text).to_hex().to_string();
        self.text("workflow.yaml", text)?;
        self.text("workflow.yaml.b3", format!("{digest}  workflow.yaml\n").as_bytes())?;
        Ok(digest)
    }

    /// Writes `graph.yaml`: the nodes before planning.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn graph(&self, graph: &impl Serialize) -> Result<(), RecordError> {
        self.yaml("graph.yaml", graph)
    }

    /// Writes `plan.yaml`: what is executed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn plan(&self, plan: &impl Serialize) -> Result<(), RecordError> {
        self.yaml("plan.yaml", plan)
    }

    /// Writes `config.yaml`: every effective setting, sorted by name, and where it came from.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn config(&self, settings: &[Setting]) -> Result<(), RecordError> {
        let mut sorted: Vec<&Setting> = settings.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut entries = Vec::with_capacity(sorted.len());
        for setting in sorted {
            let mut value = setting.value.clone();
            redact(Some(&setting.name), &mut value);
            entries.push(Setting { value, ..setting.clone() });
        }
        self.yaml("config.yaml", &entries)
    }

    /// Writes `cluster.yaml`: the machine and the job.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn cluster(&self, cluster: &crate::cluster::Cluster) -> Result<(), RecordError> {
        self.yaml("cluster.yaml", cluster)
    }

    /// Writes any value as YAML, secrets taken out.
    ///
    /// # Errors
    /// When the value has no YAML form or the file cannot be written.
    pub fn yaml(&self, name: &str, value: &impl Serialize) -> Result<(), RecordError> {
        let yaml = |source| RecordError::Yaml { path: self.reports.join(name), source };
        let mut value = serde_yaml::to_value(value).map_err(yaml)?;
        redact(None, &mut value);
        let text = serde_yaml::to_string(&value).map_err(yaml)?;
        self.text(name, text.as_bytes())
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn text(&self, name: &str, bytes: &[u8]) -> Result<(), RecordError> {
        let path = self.reports.join(name);
        write_whole(&path, bytes).map_err(|source| RecordError::Io { path, source })
    }
}

/// Writes a file beside its place and renames it into it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written =
        File::create(&beside).and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The first error is the one to report; it may be that there is nothing to remove.
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(record: &Record, name: &str) -> Value {
        serde_yaml::from_str(&fs::read_to_string(record.dir().join(name)).unwrap()).unwrap()
    }

    #[test]
    fn the_workflow_is_copied_as_it_is_with_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::open(dir.path()).unwrap();
        let digest = record.workflow(b"version: 1 # token: x\r\n").unwrap();
        assert_eq!(fs::read(record.dir().join("workflow.yaml")).unwrap(), b"version: 1 # token: x\r\n");
        let sum = fs::read_to_string(record.dir().join("workflow.yaml.b3")).unwrap();
        assert_eq!(sum, format!("{digest}  workflow.yaml\n"));
        // The empty input's digest as published with BLAKE3.
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(record.workflow(b"").unwrap(), empty);
    }

    #[test]
    fn settings_are_sorted_and_tell_their_origin_and_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::open(dir.path()).unwrap();
        let setting = |name: &str, value: &str, origin| Setting { name: name.into(), value: value.into(), origin };
        record
            .config(&[
                setting("threads", "2", Origin::Default),
                setting("otlp.headers", "authorization=Bearer s3cret", Origin::Environment("OTEL_X_HEADERS".into())),
                setting("memory", "4GiB", Origin::CommandLine("--memory".into())),
                setting("input", "https://me:s3cret@host/a?sig=s3cret&x=1", Origin::Workflow("a.yaml:3".into())),
            ])
            .unwrap();
        let text = fs::read_to_string(record.dir().join("config.yaml")).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        let config = read(&record, "config.yaml");
        let names: Vec<&str> = (0..4).map(|i| config[i]["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["input", "memory", "otlp.headers", "threads"]);
        assert_eq!(config[0]["value"].as_str(), Some("https://(hidden)@host/a?sig=(hidden)&x=1"));
        assert_eq!(config[2]["value"].as_str(), Some("(hidden)"));
        assert_eq!(config[1]["origin"].as_str(), Some("command line --memory"));
    }

    #[test]
    fn an_unwritable_file_is_an_error_that_names_it_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::open(dir.path()).unwrap();
        fs::create_dir(record.dir().join("plan.yaml")).unwrap();
        let error = record.plan(&vec![1]).unwrap_err().to_string();
        assert!(error.contains("plan.yaml"), "{error}");
        assert_eq!(fs::read_dir(record.dir()).unwrap().count(), 1);
    }
}
