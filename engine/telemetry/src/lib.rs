//! What a run leaves behind and shows meanwhile: one subscriber a file.
//!
//! Every subscriber turns the events of [`engine_runtime::event`] into one output, on a thread of its own:
//!
//! | module | output | when it can't keep up |
//! |---|---|---|
//! | [`task_stream`] | `Reports/task_stream.yaml`, one entry for each finished task | the run waits |
//! | [`values`] | `Reports/values.yaml`, every number a reduction found | the run waits |
//! | [`warnings`] | `Reports/warnings.yaml`, what ops warned of | the run waits |
//! | [`profile`] | `Reports/profile.yaml`, times by stage, step and op | the run waits |
//! | [`otel`] | spans over OTLP | its own queue drops spans, which are counted and told |
//! | [`progress`] | a bar or lines on standard error | nobody notices |
//!
//! [`record`] writes the files of `Reports` that need no events, [`cluster`] finds out where the run is, [`secret`] keeps
//! passwords out of all of them; [`stream`] is how the files grow that have a record for each event. A new subscriber is one
//! more file here and one more line in [`subscribers`].

mod paged;
mod text;

pub mod cluster;
pub mod otel;
pub mod profile;
pub mod progress;
pub mod record;
pub mod secret;
pub mod stream;
pub mod task_stream;
pub mod values;
pub mod warnings;

use cluster::Env;
use engine_runtime::event::Subscriber;
use otel::{Otel, OtlpConfig};
use profile::{Clock, Profile};
use progress::{Progress, ProgressMode};
use task_stream::TaskStream;
use values::Values;
use warnings::Warnings;

/// What a user can choose about the outputs of a run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How progress is shown: `--progress`.
    pub progress: ProgressMode,
    /// What op times are measured with: `--profile`.
    pub profile: Clock,
    /// Where spans go: `--otlp`. The standard variables of OpenTelemetry hold without it.
    pub otlp: Option<String>,
    /// The address entries of the task stream name; that of this process when absent.
    pub worker: Option<String>,
}

/// Bytes of what may wait to be sent while these settings hold, besides the record: spans for a collector.
#[must_use]
pub fn waiting_bytes(settings: &Settings, env: Env<'_>) -> u64 {
    match OtlpConfig::read(settings.otlp.as_deref(), env) {
        Ok(Some(_)) => otel::WAITING_BYTES,
        Ok(None) | Err(_) => 0,
    }
}

/// The subscribers of a run, for [`engine_runtime::bus::Bus::start`], and warnings about what could not be set up.
#[must_use]
pub fn subscribers(settings: &Settings, env: Env<'_>) -> (Vec<Box<dyn Subscriber>>, Vec<String>) {
    let worker = settings.worker.clone().unwrap_or_else(cluster::local_address);
    let mut subscribers: Vec<Box<dyn Subscriber>> = vec![
        Box::new(TaskStream::new(&worker)),
        Box::new(Values::new()),
        Box::new(Warnings::new()),
        Box::new(Profile::new(settings.profile)),
    ];
    let mut warnings = Vec::new();
    match OtlpConfig::read(settings.otlp.as_deref(), env) {
        Ok(Some(config)) => subscribers.push(Box::new(Otel::new(config))),
        Ok(None) => {}
        Err(error) => warnings.push(error.to_string()),
    }
    if let Some(progress) = Progress::new(settings.progress, env) {
        subscribers.push(Box::new(progress));
    }
    (subscribers, warnings)
}

#[cfg(test)]
#[path = "../tests/fake/mod.rs"]
mod fake;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(settings: &Settings, vars: &[(&str, &str)]) -> (Vec<&'static str>, usize) {
        let env = |name: &str| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned());
        let (subscribers, warnings) = subscribers(settings, &env);
        (subscribers.iter().map(|subscriber| subscriber.name()).collect(), warnings.len())
    }

    #[test]
    fn the_record_is_always_written_and_the_rest_is_chosen() {
        let mut settings = Settings { progress: ProgressMode::None, ..Settings::default() };
        assert_eq!(names(&settings, &[]), (vec!["task-stream", "values", "warnings", "profile"], 0));
        let on = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:1")];
        assert_eq!(names(&settings, &on), (vec!["task-stream", "values", "warnings", "profile", "otel"], 0));
        assert_eq!(waiting_bytes(&settings, &|_| None), 0);
        let env = |name: &str| (name == on[0].0).then(|| on[0].1.to_owned());
        assert_eq!(waiting_bytes(&settings, &env), otel::WAITING_BYTES);
        settings.otlp = Some("https://h".into());
        settings.progress = ProgressMode::Plain;
        assert_eq!(names(&settings, &on), (vec!["task-stream", "values", "warnings", "profile", "progress"], 1));
    }

    /// Prints what the whole record of a task costs, on all threads; run with `--nocapture` to see it.
    #[test]
    fn the_record_of_a_task_costs_less_than_four_microseconds() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = 200_000;
        let events: Vec<_> = crate::fake::run(dir.path(), tasks).collect();
        let (subscribers, _) =
            subscribers(&Settings { progress: ProgressMode::Plain, ..Settings::default() }, &|_| None);
        let cpu = || {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
            time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
        };
        let before = cpu();
        let bus = engine_runtime::bus::Bus::start(subscribers);
        events.into_iter().for_each(|event| bus.emit(event));
        assert!(bus.finish().is_empty());
        let each = (cpu() - before) / tasks as f64 * 1e6;
        println!("record: {each:.3} us CPU each, all threads (and other tests)");
        assert!(each < 4.0 || std::env::var_os("CI").is_some(), "{each} us each");
    }
}
