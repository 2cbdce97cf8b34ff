//! Lowering: from one named op to nodes of the two primitives.

use crate::meta::PortMeta;
use crate::op::DynReduce;
use crate::{ArrayMeta, Map, OpError, Ports, Reduce};
use smallvec::SmallVec;
use std::sync::Arc;

/// An array inside a lowering: an input of the op or a node it added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArrayPort(pub usize);

/// The result of a reduction inside a lowering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ValuePort(pub usize);

/// What flows into and out of an op: an array, or a table or numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Port {
    /// An array.
    Array(ArrayPort),
    /// The result of a reduction.
    Value(ValuePort),
}

/// What a reduction runs over.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Each item of a `foreach` on its own.
    #[default]
    Item,
    /// All items of a `foreach` together.
    Collection,
}

/// What a lowered node does.
#[derive(Debug, Clone)]
pub enum Kind {
    /// An input of the op; stands for whatever feeds it.
    Input(usize),
    /// A map from arrays (and values) to an array.
    Map(Arc<dyn Map>),
    /// A map that joins all items of a family into one array.
    Join(Arc<dyn Map>),
    /// A reduction over one item or all.
    Reduce(Arc<dyn DynReduce>, Scope),
}

/// A node of a lowering.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// What it is, in one or two words: it names the node in plans, spans and profiles.
    pub name: &'static str,
    /// The parameters that decide its result, canonically printed.
    pub params: String,
    /// What it does.
    pub kind: Kind,
    /// Array inputs: positions of other nodes in [`Lowering::nodes`].
    pub arrays: SmallVec<[ArrayPort; 2]>,
    /// Consumed reductions: positions of other nodes.
    pub values: SmallVec<[ValuePort; 2]>,
    /// The array it makes, for the representative item; `None` for a reduction.
    pub meta: Option<PortMeta>,
}

/// Collects the nodes of one op, checking each against its inputs as it is added.
#[derive(Debug, Default)]
pub struct Lowering {
    nodes: Vec<Lowered>,
    names: Vec<String>,
}

impl Lowering {
    /// Starts a lowering whose first nodes are the op's inputs. A `None` stands for a table or numbers.
    pub fn new(inputs: &[Option<PortMeta>]) -> (Lowering, Vec<Port>) {
        let mut g = Lowering::default();
        let ports = inputs
            .iter()
            .enumerate()
            .map(|(i, meta)| {
                let at = g.nodes.len();
                g.nodes.push(Lowered {
                    name: "input",
                    params: String::new(),
                    kind: Kind::Input(i),
                    arrays: SmallVec::new(),
                    values: SmallVec::new(),
                    meta: meta.clone(),
                });
                if meta.is_some() { Port::Array(ArrayPort(at)) } else { Port::Value(ValuePort(at)) }
            })
            .collect();
        (g, ports)
    }

    /// Says what the workflow calls the inputs, in their order.
    pub fn name_inputs(&mut self, names: impl IntoIterator<Item = String>) {
        self.names = names.into_iter().collect();
    }

    /// What the workflow calls the inputs of an op that leaves that to it.
    pub fn input_names(&self) -> &[String] {
        &self.names
    }

    /// The nodes, inputs first, each after what it consumes.
    pub fn nodes(&self) -> &[Lowered] {
        &self.nodes
    }

    /// The metadata of an array, for the representative item of a family.
    ///
    /// # Panics
    /// When the port belongs to another lowering.
    pub fn meta(&self, a: ArrayPort) -> &ArrayMeta {
        &self.port_meta(a).meta
    }

    fn port_meta(&self, a: ArrayPort) -> &PortMeta {
        #[expect(clippy::expect_used, reason = "array ports are only made for nodes with metadata")]
        self.nodes[a.0].meta.as_ref().expect("an array port has metadata")
    }

    /// The metadata of several inputs together.
    pub fn ports(&self, arrays: &[ArrayPort]) -> Ports {
        Ports(arrays.iter().map(|&a| self.port_meta(a).clone()).collect())
    }

    /// Adds a map from `arrays` and `values` to an array.
    ///
    /// # Errors
    /// What [`Map::infer`] finds wrong with the inputs.
    pub fn map(
        &mut self,
        name: &'static str,
        op: impl Map + 'static,
        arrays: &[ArrayPort],
        values: &[ValuePort],
    ) -> Result<ArrayPort, OpError> {
        let meta = op.infer(&self.ports(arrays))?;
        let items = arrays.iter().map(|&a| self.port_meta(a).items).max().unwrap_or(1);
        let params = format!("{op:?}");
        self.add(name, params, Kind::Map(Arc::new(op)), arrays, values, Some(PortMeta { meta, items }));
        Ok(ArrayPort(self.nodes.len() - 1))
    }

    /// Adds a map that joins all items of the family behind `array` into one array.
    ///
    /// # Errors
    /// What [`Map::infer`] finds wrong with the inputs.
    pub fn join(&mut self, name: &'static str, op: impl Map + 'static, array: ArrayPort) -> Result<ArrayPort, OpError> {
        let meta = op.infer(&self.ports(&[array]))?;
        let params = format!("{op:?}");
        self.add(name, params, Kind::Join(Arc::new(op)), &[array], &[], Some(PortMeta { meta, items: 1 }));
        Ok(ArrayPort(self.nodes.len() - 1))
    }

    /// Adds a reduction of `arrays`.
    ///
    /// # Errors
    /// What [`Reduce::check`] finds wrong with the inputs.
    pub fn reduce(
        &mut self,
        name: &'static str,
        op: impl Reduce + 'static,
        arrays: &[ArrayPort],
        values: &[ValuePort],
        scope: Scope,
    ) -> Result<ValuePort, OpError> {
        Reduce::check(&op, &self.ports(arrays))?;
        let params = format!("{op:?}");
        self.add(name, params, Kind::Reduce(Arc::new(op), scope), arrays, values, None);
        Ok(ValuePort(self.nodes.len() - 1))
    }

    fn add(
        &mut self,
        name: &'static str,
        params: String,
        kind: Kind,
        arrays: &[ArrayPort],
        values: &[ValuePort],
        meta: Option<PortMeta>,
    ) {
        let (arrays, values) = (SmallVec::from_slice(arrays), SmallVec::from_slice(values));
        self.nodes.push(Lowered { name, params, kind, arrays, values, meta });
    }

    /// The array behind an input port.
    ///
    /// # Errors
    /// When a table or numbers stand there.
    pub fn array(&self, inputs: &[Port], input: usize) -> Result<ArrayPort, OpError> {
        match inputs.get(input) {
            Some(Port::Array(a)) => Ok(*a),
            Some(Port::Value(_)) => {
                Err(OpError::input(input, "an array", "a table", "connect a step that makes an array"))
            }
            None => Err(OpError::input(input, "an array", "nothing", "connect a step")),
        }
    }
}
