//! A graph in the order in which it runs.

use std::collections::{HashMap, HashSet};

use super::kernel::{Args, Kernel, build};
use super::message::Graph;
use super::tensor::Tensor;
use crate::error::Fault;

/// Constants that are made of constants are kept up to this size; greater ones are made anew each time.
const FOLDED_VALUES_MAX: usize = 1 << 22;

pub(super) struct Plan {
    steps: Vec<Step>,
    constants: Vec<Tensor>,
    slots: usize,
    outputs: Vec<Operand>,
}

struct Step {
    title: String,
    kernel: Kernel,
    inputs: Vec<Operand>,
    /// Where its outputs go; none where nobody wants one.
    outputs: Vec<Option<usize>>,
    /// Slots that nobody reads afterwards.
    done: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operand {
    Missing,
    Constant(usize),
    Slot(usize),
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let titles: Vec<&str> = self.steps.iter().map(|step| step.title.as_str()).collect();
        f.debug_struct("Plan").field("steps", &titles).finish()
    }
}

impl Plan {
    /// Orders a graph whose inputs take the first slots.
    pub(super) fn of(graph: Graph) -> Result<Self, Fault> {
        let mut names: HashMap<String, Operand> = HashMap::new();
        let mut constants = Vec::new();
        for (name, tensor) in graph.constants {
            names.insert(name, Operand::Constant(constants.len()));
            constants.push(tensor);
        }
        let mut slots = 0;
        for input in &graph.inputs {
            names.insert(input.name.clone(), Operand::Slot(slots));
            slots += 1;
        }
        let wanted = wanted(&graph.nodes, &graph.outputs);
        let mut steps: Vec<Step> = Vec::new();
        for (node, wanted) in graph.nodes.iter().zip(wanted) {
            if !wanted {
                continue;
            }
            let kernel = build(node)?;
            let operand = |name: &String| match name.as_str() {
                "" => Ok(Operand::Missing),
                _ => names.get(name).copied().ok_or_else(|| {
                    Fault::Damaged(format!(
                        "{} reads `{name}`, which nothing before it makes",
                        node.title()
                    ))
                }),
            };
            let inputs: Vec<Operand> = node.inputs.iter().map(operand).collect::<Result<_, _>>()?;
            if let Some(made) = folded(&kernel, &inputs, &constants) {
                for (name, tensor) in node.outputs.iter().zip(made) {
                    names.insert(name.clone(), Operand::Constant(constants.len()));
                    constants.push(tensor);
                }
                continue;
            }
            let mut outputs = Vec::new();
            for name in &node.outputs {
                outputs.push((!name.is_empty()).then_some(slots));
                if !name.is_empty() {
                    if names.insert(name.clone(), Operand::Slot(slots)).is_some() {
                        return Err(Fault::Damaged(format!("`{name}` is made twice")));
                    }
                    slots += 1;
                }
            }
            steps.push(Step {
                title: node.title(),
                kernel,
                inputs,
                outputs,
                done: Vec::new(),
            });
        }
        let output = |name: &String| {
            names
                .get(name)
                .copied()
                .ok_or_else(|| Fault::Damaged(format!("nothing makes its output `{name}`")))
        };
        let outputs: Vec<Operand> = graph
            .outputs
            .iter()
            .map(|slot| output(&slot.name))
            .collect::<Result<_, _>>()?;
        let mut later: HashSet<usize> = outputs.iter().filter_map(slot).collect();
        for step in steps.iter_mut().rev() {
            for read in step.inputs.iter().filter_map(slot) {
                if later.insert(read) {
                    step.done.push(read);
                }
            }
        }
        Ok(Self {
            steps,
            constants,
            slots,
            outputs,
        })
    }

    /// The outputs for these inputs.
    pub(super) fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>, String> {
        let mut slots: Vec<Option<Tensor>> = inputs.into_iter().map(Some).collect();
        slots.resize(self.slots, None);
        for step in &self.steps {
            let inputs = step
                .inputs
                .iter()
                .map(|operand| self.find(*operand, &slots))
                .collect();
            let made = (step.kernel)(&Args::new(inputs)).map_err(|what| format!("{}: {what}", step.title))?;
            for read in &step.done {
                slots[*read] = None;
            }
            for (slot, tensor) in step.outputs.iter().zip(made) {
                if let Some(slot) = slot {
                    slots[*slot] = Some(tensor);
                }
            }
        }
        let output = |operand: &Operand| {
            self.find(*operand, &slots)
                .cloned()
                .ok_or_else(|| "an output was not made".to_owned())
        };
        self.outputs.iter().map(output).collect()
    }

    fn find<'a>(&'a self, operand: Operand, slots: &'a [Option<Tensor>]) -> Option<&'a Tensor> {
        match operand {
            Operand::Missing => None,
            Operand::Constant(at) => Some(&self.constants[at]),
            Operand::Slot(at) => slots[at].as_ref(),
        }
    }
}

fn slot(operand: &Operand) -> Option<usize> {
    match operand {
        Operand::Slot(slot) => Some(*slot),
        _ => None,
    }
}

/// Which nodes the outputs need.
fn wanted(nodes: &[super::message::Node], outputs: &[super::message::Slot]) -> Vec<bool> {
    let mut names: HashSet<&str> = outputs.iter().map(|slot| slot.name.as_str()).collect();
    let mut wanted = vec![false; nodes.len()];
    for (node, wanted) in nodes.iter().zip(&mut wanted).rev() {
        if node.outputs.iter().any(|name| names.contains(name.as_str())) {
            *wanted = true;
            names.extend(node.inputs.iter().map(String::as_str));
        }
    }
    wanted
}

/// What an operator makes of constants alone.
fn folded(kernel: &Kernel, inputs: &[Operand], constants: &[Tensor]) -> Option<Vec<Tensor>> {
    let inputs: Option<Vec<Option<&Tensor>>> = inputs
        .iter()
        .map(|operand| match operand {
            Operand::Missing => Some(None),
            Operand::Constant(at) => Some(Some(&constants[*at])),
            Operand::Slot(_) => None,
        })
        .collect();
    // An error is told when the model answers: it may be in a part that no answer needs.
    let made = kernel(&Args::new(inputs?)).ok()?;
    made.iter()
        .all(|tensor| tensor.len() <= FOLDED_VALUES_MAX)
        .then_some(made)
}
