//! What an array or a value is made from, as a digest: what has the same digest has the same bytes.
//!
//! A node's digest covers its op, the parameters that decide its result, and the digests of what it consumes; that of a
//! source covers how it is read. Nothing of a plan is in it: no block, no thread, no limit. A run that resumes compares
//! digests to tell what an earlier one left of the same thing, whatever else has changed in the workflow.
//!
//! Which file an item is comes in where it matters: [`Fingerprints::of`] adds it for one item of a family, and a node that
//! has seen all items of a family covers all their names. What the files contain is not covered: whoever compares
//! fingerprints has to compare the state of the files too.

use crate::graph::{Graph, InputId, Kind, NodeId};
use crate::spec::workflow::InputSource;
use std::fmt;

/// Two versions of the engine whose results may differ have different ones.
const EPOCH: &str = concat!("engine ", env!("CARGO_PKG_VERSION"), " 1");

/// A digest of 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A digest in the making: every part is added with its length, so that no two lists of parts run into one.
struct Digest(blake3::Hasher);

impl Digest {
    fn new(kind: &str) -> Digest {
        Digest(blake3::Hasher::new()).add(EPOCH.as_bytes()).add(kind.as_bytes())
    }

    fn add(mut self, part: &[u8]) -> Digest {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        self
    }

    fn end(self) -> Fingerprint {
        let mut short = [0; 16];
        short.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        Fingerprint(short)
    }
}

/// The digests of a graph's nodes.
#[derive(Debug, Clone, Default)]
pub struct Fingerprints {
    nodes: Vec<Fingerprint>,
}

impl Fingerprints {
    /// Digests every node of a graph.
    pub fn new(graph: &Graph) -> Fingerprints {
        let mut all = Fingerprints { nodes: Vec::with_capacity(graph.nodes.len()) };
        for id in graph.ids() {
            let print = all.node(graph, id);
            all.nodes.push(print);
        }
        all
    }

    /// What a node makes: for one item of its family, or of the whole where it has none.
    pub fn of(&self, graph: &Graph, id: NodeId, item: u64) -> Fingerprint {
        let node = self.nodes[id.0 as usize];
        let Some(family) = graph.node(id).family else { return node };
        Digest::new("item").add(&node.0).add(&name(graph, family, item)).end()
    }

    /// What one item contributes to a reduction.
    pub fn partial(&self, graph: &Graph, id: NodeId, item: u64) -> Fingerprint {
        let n = graph.node(id);
        let of = n.arrays.iter().find_map(|a| graph.node(*a).family);
        let name = of.map(|family| name(graph, family, item)).unwrap_or_default();
        Digest::new("partial").add(&self.nodes[id.0 as usize].0).add(&name).end()
    }

    /// A result as it is stored: in this form, such as a format with its chunks.
    pub fn stored(&self, graph: &Graph, id: NodeId, item: u64, form: &str) -> Fingerprint {
        Digest::new("stored").add(&self.of(graph, id, item).0).add(form.as_bytes()).end()
    }

    fn node(&self, graph: &Graph, id: NodeId) -> Fingerprint {
        let n = graph.node(id);
        let mut digest = match &n.kind {
            Kind::Source(input) => return source(graph, *input),
            Kind::Map(_) => Digest::new("map"),
            Kind::Join(_) => Digest::new("join"),
            Kind::Reduce(_, scope) => Digest::new("reduce").add(format!("{scope:?}").as_bytes()),
        };
        digest = digest.add(n.name.as_bytes()).add(n.params.as_bytes());
        for of in n.arrays.iter().chain(&n.values) {
            digest = digest.add(&self.nodes[of.0 as usize].0);
            if let (None, Some(family)) = (n.family, graph.node(*of).family) {
                for item in 0..graph.items(Some(family)) {
                    digest = digest.add(&name(graph, family, item));
                }
            }
        }
        digest.end()
    }
}

/// How an input is read.
fn source(graph: &Graph, input: InputId) -> Fingerprint {
    let decl = &graph.input(input).decl;
    let view = format!(
        "{:?} {:?} {:?}",
        decl.channels,
        decl.axes.as_ref().map(|a| &a.value),
        decl.level.as_ref().map(|l| &l.value)
    );
    let digest = Digest::new("source").add(view.as_bytes());
    match &decl.source {
        InputSource::Generate(made) => digest.add(format!("{:?}", made.value).as_bytes()).end(),
        InputSource::Path(_) => digest.add(&name(graph, input, 0)).end(),
        InputSource::Foreach(_) => digest.end(),
    }
}

/// What tells an item from others: its path, or the number of a generated one.
fn name(graph: &Graph, input: InputId, item: u64) -> Vec<u8> {
    match graph.input(input).items.path(item) {
        Some(path) => path.to_string_lossy().into_owned().into_bytes(),
        None => item.to_le_bytes().to_vec(),
    }
}
