//! Models that answer together: one after the other, side by side, or whichever a row is for. Each member waits, is put
//! together with other requests and is counted as any model is; what is added here is what goes from one to the next.

mod build;
mod members;
mod switch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};
use lathe_serving::{Answers, Facts, Misfit, PredictError, Signature, Table, gather, mean, vote};
use lathe_types::Millis;
use lathe_types::graphs::{Combine, Part, Shape, VersionName};

use self::switch::Switch;
use super::answer::Refusal;
use super::lane::Served;
use super::statistics::{Reason, Totals};

pub(super) use members::Members;

/// The loaded versions of a graph's members, or why they are not.
pub(super) type Loaded = BTreeMap<VersionName, Result<Arc<Served>, String>>;

/// A graph whose members are loaded.
pub(super) struct Graph {
    facts: Arc<Facts>,
    whole: Joined,
    /// Each version that answers, once.
    served: BTreeMap<VersionName, Arc<Served>>,
    /// The same in the order in which the graph names them.
    members: Vec<VersionName>,
    pub(super) totals: Totals,
    now: fn() -> Millis,
}

/// Members that are joined.
struct Joined {
    kind: Kind,
    signature: Signature,
}

enum Kind {
    Sequence {
        first: Node,
        rest: Vec<Node>,
    },
    Ensemble {
        members: Vec<Node>,
        combine: Combine,
        weights: Option<Vec<f64>>,
        output: Option<String>,
    },
    Switch(Arc<Switch>, Vec<Node>),
}

/// A member.
struct Node {
    /// What it is called in errors.
    label: String,
    what: What,
}

enum What {
    Model {
        version: Arc<VersionName>,
        served: Arc<Served>,
    },
    Graph(Box<Joined>),
}

/// What a graph, or a member of one, answers.
pub(super) struct Reply {
    pub(super) answers: Answers,
    pub(super) members: Members,
}

/// What all members of one request share.
#[derive(Clone, Copy)]
struct Call {
    deadline: Option<Instant>,
    now: fn() -> Millis,
}

impl Graph {
    /// Joins loaded members, and lets them answer an input example, if there is one, so that no request is the first to
    /// find out that they do not fit together.
    pub(super) async fn join(
        shape: &Shape<Part>,
        loaded: &Loaded,
        now: fn() -> Millis,
    ) -> Result<Self, String> {
        let whole = build::joined(shape, loaded)?;
        let members = shape.versions();
        let mut served = BTreeMap::new();
        for version in &members {
            if let Some(Ok(member)) = loaded.get(version) {
                served.insert(version.clone(), member.clone());
            }
        }
        let facts: Vec<&Facts> = served.values().map(|served| &**served.facts()).collect();
        let facts = Facts::of_graph(whole.signature.clone(), whole.outputs(), &facts);
        let graph = Self {
            facts: Arc::new(facts),
            whole,
            served,
            members,
            totals: Totals::default(),
            now,
        };
        if let Some(example) = graph.whole.example() {
            let call = Call { deadline: None, now };
            let answered = graph.whole.predict(Arc::new(example), call).await;
            answered.map_err(|refusal| {
                format!("it cannot answer its own input example: {}", refusal.message())
            })?;
        }
        Ok(graph)
    }

    pub(super) fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// The versions that answer, in the order in which it names them.
    pub(super) fn members(&self) -> &[VersionName] {
        &self.members
    }

    /// The loaded versions that answer.
    pub(super) fn served(&self) -> &BTreeMap<VersionName, Arc<Served>> {
        &self.served
    }

    /// Answers a table of rows, before the deadline if there is one.
    pub(super) async fn predict(
        &self,
        table: &Arc<Table>,
        deadline: Option<Instant>,
    ) -> Result<Reply, Refusal> {
        let started = Instant::now();
        let call = Call {
            deadline,
            now: self.now,
        };
        let reply = self.whole.predict(table.clone(), call).await?;
        self.totals.executed(table.rows(), started.elapsed());
        Ok(reply)
    }
}

impl Joined {
    /// Boxed: graphs may be members of graphs.
    fn predict(&self, table: Arc<Table>, call: Call) -> BoxFuture<'_, Result<Reply, Refusal>> {
        async move {
            match &self.kind {
                Kind::Sequence { first, rest } => sequence(first, rest, &table, call).await,
                Kind::Ensemble {
                    members,
                    combine,
                    weights,
                    output,
                } => {
                    let replies =
                        try_join_all(members.iter().map(|member| member.predict(&table, call))).await?;
                    let (answers, who): (Vec<Answers>, Vec<Members>) = replies
                        .into_iter()
                        .map(|reply| (reply.answers, reply.members))
                        .unzip();
                    let together = match combine {
                        Combine::Mean => mean,
                        Combine::Vote => vote,
                    };
                    let answers = together(&answers, weights.as_deref(), output.as_deref())
                        .map_err(|misfit| failed(members.get(misfit.member), misfit))?;
                    Ok(Reply {
                        answers,
                        members: Members::together(who),
                    })
                }
                Kind::Switch(switch, members) => switched(switch, members, table, call).await,
            }
        }
        .boxed()
    }
}

async fn sequence(first: &Node, rest: &[Node], table: &Arc<Table>, call: Call) -> Result<Reply, Refusal> {
    let mut reply = first.predict(table, call).await?;
    for step in rest {
        let handed = Table::from_answers(&reply.answers, step.signature()).map_err(|error| {
            Refusal::Failed(format!("it does not fit what the step before answers: {error}"))
                .of_member(&step.label)
        })?;
        let next = step.predict(&Arc::new(handed), call).await?;
        reply = Reply {
            answers: next.answers,
            members: Members::together(vec![reply.members, next.members]),
        };
    }
    Ok(reply)
}

async fn switched(
    switch: &Arc<Switch>,
    members: &[Node],
    table: Arc<Table>,
    call: Call,
) -> Result<Reply, Refusal> {
    let rows = table.rows();
    let mut parts: Vec<(usize, Vec<usize>)> = Vec::new();
    for (row, member) in switch.choose(&table).await?.into_iter().enumerate() {
        match parts.iter_mut().find(|(known, _)| *known == member) {
            Some((_, rows)) => rows.push(row),
            None => parts.push((member, vec![row])),
        }
    }
    if rows == 0 {
        // Somebody has to say what no rows are answered with.
        parts.push((0, Vec::new()));
    }
    // The first says how the answer looks, such as the order of its columns: whichever row comes first must not.
    parts.sort_unstable_by_key(|(member, _)| *member);
    let asked = parts
        .iter()
        .filter_map(|(member, numbers)| Some((members.get(*member)?, numbers)));
    let table = &table;
    let replies = asked.map(|(member, numbers)| async move {
        let own = match numbers.len() == rows {
            true => table.clone(),
            false => Arc::new(table.pick(numbers)),
        };
        member
            .predict(&own, call)
            .await
            .map_err(|refusal| refusal.at_rows(numbers))
    });
    let replies = try_join_all(replies).await?;
    let mut who = Vec::with_capacity(parts.len());
    let mut answers = Vec::with_capacity(parts.len());
    for ((_, numbers), reply) in parts.iter().zip(replies) {
        who.push((numbers.as_slice(), reply.members));
        answers.push((numbers.clone(), reply.answers));
    }
    let members_of_rows = Members::of_rows(who, rows);
    let answers = gather(&answers, rows, &switch.outputs).map_err(|misfit| {
        let member = parts
            .get(misfit.member)
            .and_then(|(member, _)| members.get(*member));
        failed(member, misfit)
    })?;
    Ok(Reply {
        answers,
        members: members_of_rows,
    })
}

fn failed(member: Option<&Node>, misfit: Misfit) -> Refusal {
    let label = member.map_or("a member", |member| member.label.as_str());
    Refusal::Failed(misfit.what).of_member(label)
}

impl Node {
    fn signature(&self) -> &Signature {
        match &self.what {
            What::Model { served, .. } => served.facts().signature(),
            What::Graph(joined) => &joined.signature,
        }
    }

    async fn predict(&self, table: &Arc<Table>, call: Call) -> Result<Reply, Refusal> {
        self.ask(table, call)
            .await
            .map_err(|refusal| refusal.of_member(&self.label))
    }

    async fn ask(&self, table: &Arc<Table>, call: Call) -> Result<Reply, Refusal> {
        let table = table.fit(self.signature()).map_err(Refusal::Request)?;
        let reply = match &self.what {
            What::Graph(joined) => joined.predict(table.clone(), call).await?,
            What::Model { version, served } => {
                let started = Instant::now();
                let answers = served.predict(&table, call.deadline).await;
                let failed = answers.as_ref().err().map(Reason::from);
                served.totals.answered(failed, started.elapsed(), (call.now)().0);
                Reply {
                    answers: answers?,
                    members: Members::one(version.clone()),
                }
            }
        };
        match reply.answers.rows() == table.rows() {
            true => Ok(reply),
            // A Python model may do so.
            false => Err(Refusal::Failed(format!(
                "it answers with {} rows for {}",
                reply.answers.rows(),
                table.rows()
            ))),
        }
    }
}

/// Why a row finds nobody.
fn no_case(row: usize, what: String) -> Refusal {
    Refusal::Request(PredictError::NoCase { row, what })
}
