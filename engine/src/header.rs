//! What the record says of a run before its first task: header, settings, cluster.

use crate::prepare::Prepared;
use crate::run_dir::RunDir;
use engine_model::plan::Plan;
use engine_model::spec::workflow::{Origin, Workflow};
use engine_runtime::event::{NodeInfo, RunHeader, StageInfo};
use engine_runtime::exec::clock::Clock;
use engine_runtime::exec::run::Durability;
use engine_telemetry::cluster::Cluster;
use engine_telemetry::record::Setting;

/// Families of more items than this do not have their tasks counted before the run.
const COUNT_TASKS_UP_TO: u64 = 10_000_000;

/// The header of a run.
pub fn of(plan: &Plan, workflow: &Workflow, dir: &RunDir, clock: &Clock) -> RunHeader {
    let items = plan.groups.iter().map(|g| plan.item_count(g)).max().unwrap_or(1);
    let mut id = blake3::Hasher::new();
    id.update(&clock.now().to_le_bytes());
    id.update(&std::process::id().to_le_bytes());
    id.update(dir.root.as_os_str().as_encoded_bytes());
    let mut run_id = [0u8; 16];
    id.finalize_xof().fill(&mut run_id);
    RunHeader {
        run_id: u128::from_le_bytes(run_id),
        dir: dir.root.clone(),
        workflow: workflow.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        threads: plan.settings.threads,
        stages: plan
            .stages
            .iter()
            .map(|s| StageInfo { name: plan.stage_name(s), nodes: s.nodes.iter().map(|n| n.0).collect() })
            .collect(),
        nodes: plan
            .graph
            .nodes
            .iter()
            .map(|n| NodeInfo { step: n.step.clone(), op: n.op.clone(), name: n.name.clone() })
            .collect(),
        items,
        tasks: (items <= COUNT_TASKS_UP_TO).then(|| plan.tasks()),
        start: clock.now(),
    }
}

/// Every effective setting with its origin: the profile, the command's own, the workflow's parameters.
pub fn settings(cpu_profile: bool, keep_going: bool, durability: Durability, prepared: &Prepared) -> Vec<Setting> {
    let yaml = |v: &serde_json::Value| serde_yaml::to_value(v).unwrap_or(serde_yaml::Value::Null);
    let flag = |on: bool, name: &str| if on { Origin::CommandLine(name.into()) } else { Origin::Default };
    let mut list: Vec<Setting> = prepared
        .origins
        .iter()
        .map(|s| Setting { name: s.name.to_owned(), value: yaml(&s.value), origin: s.origin.clone() })
        .collect();
    let clock = if cpu_profile { "cpu" } else { "wall" };
    list.push(Setting { name: "profile".into(), value: clock.into(), origin: flag(cpu_profile, "--profile") });
    list.push(Setting {
        name: "keep_going".into(),
        value: keep_going.into(),
        origin: flag(keep_going, "--keep-going"),
    });
    let directory = std::env::current_dir().map(|d| d.display().to_string()).unwrap_or_default();
    list.push(Setting { name: "directory".into(), value: directory.into(), origin: Origin::Default });
    let file = prepared.sources.get(0).and_then(|f| std::path::absolute(&f.path).ok());
    let file = file.map(|f| f.display().to_string()).unwrap_or_default();
    let typed = Origin::CommandLine("WORKFLOW".into());
    list.push(Setting { name: "workflow".into(), value: file.into(), origin: typed });
    let machine = durability == Durability::Machine;
    let value = if machine { "machine" } else { "process" };
    list.push(Setting { name: "durability".into(), value: value.into(), origin: flag(machine, "--durability") });
    for (name, p) in &prepared.workflow.params {
        list.push(Setting { name: format!("params.{name}"), value: yaml(&p.value), origin: p.origin.clone() });
    }
    list
}

/// Where the run runs.
pub fn cluster(plan: &Plan) -> Cluster {
    let versions = [("engine", env!("CARGO_PKG_VERSION"))];
    Cluster::detect(plan.settings.threads, plan.settings.memory, &versions, &|name| std::env::var(name).ok())
}
