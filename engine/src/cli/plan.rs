//! `engine plan`: how a workflow would be executed.

use crate::loading::show;
use crate::output;
use crate::prepare::{self, ProfileArgs, WorkflowArgs};
use crate::{exit, prepare::Prepared};
use clap::Args;
use engine_model::diag::Span;
use engine_model::graph::print as graph_print;
use engine_model::plan::{Plan, document, print};

/// Arguments of `engine plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    workflow: WorkflowArgs,
    #[command(flatten)]
    profile: ProfileArgs,
    /// As JSON: the plan as another process reads it.
    #[arg(long, group = "form")]
    json: bool,
    /// The graph for Graphviz.
    #[arg(long, group = "form")]
    dot: bool,
    /// The graph for Mermaid.
    #[arg(long, group = "form")]
    mermaid: bool,
}

/// Prints the plan; a refused one too, with the diagnostic beside it.
pub fn run(args: &PlanArgs) -> u8 {
    let Prepared { sources, workflow, graph, settings, report, .. } =
        match prepare::prepare(&args.workflow, &args.profile) {
            Ok(p) => p,
            Err(refused) => {
                show(&refused.sources, &refused.report);
                return refused.code;
            }
        };
    show(&sources, &report);
    let span = workflow.profile.memory.as_ref().map_or(Span::default(), |m| m.span);
    match prepare::plan(graph, settings, span) {
        Ok(plan) => {
            print(args, &plan);
            exit::OK
        }
        Err(refused) => {
            print(args, &refused.0);
            let mut report = engine_model::diag::Report::default();
            report.push(refused.1);
            show(&sources, &report);
            exit::IMPOSSIBLE
        }
    }
}

fn print(args: &PlanArgs, plan: &Plan) {
    if args.json {
        output::line(format!("{:#}", document::of(plan)));
    } else if args.dot {
        output::text(&graph_print::dot(&plan.graph));
    } else if args.mermaid {
        output::text(&graph_print::mermaid(&plan.graph));
    } else {
        output::text(&print::text(plan));
    }
}
