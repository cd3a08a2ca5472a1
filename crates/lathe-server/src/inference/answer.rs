//! One request through a deployment, whichever protocol it came by: the split picks a target, the target answers, a
//! failing canary is stood in for, a shadow sees a copy, the rows go to the watcher.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lathe_serving::{Answers, Facts, PredictError, Table};
use lathe_types::deployments::Role;
use lathe_types::samples::Sample;
use lathe_types::{Millis, PredictionId};

use super::deployments::{Deployments, Live, LiveTarget};
use super::graph::Members;
use super::statistics::Reason;

/// An answered request.
pub(super) struct Answered {
    pub(super) id: PredictionId,
    pub(super) version: u32,
    pub(super) answers: Answers,
    /// Who answered together, where a graph did.
    pub(super) members: Option<Members>,
}

impl Answered {
    /// What is told of an answer beside it, whatever the protocol.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        if let Ok(id) = HeaderValue::from_str(self.id.as_str()) {
            headers.insert(&PREDICTION_ID, id);
        }
        headers.insert(&MODEL_VERSION, self.version.into());
        // Names of models may hold what no header can.
        let members = self
            .members
            .as_ref()
            .map(|members| members.told().replace(char::is_control, "?"));
        if let Some(Ok(members)) = members.map(|members| HeaderValue::from_bytes(members.as_bytes())) {
            headers.insert(&MEMBERS, members);
        }
        headers
    }
}

/// What a request asks for beside its rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Request {
    /// One version of the split.
    pub(super) version: Option<u32>,
    /// The caller's own time of the request.
    pub(super) at: Option<Millis>,
    /// Whom the request is about: the same entity always gets the same side of a split.
    pub(super) entity: Option<String>,
    /// When nobody needs the answer any more.
    pub(super) deadline: Option<Instant>,
}

/// Why a request was not answered.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No deployment is called so.
    Unknown(String),
    /// The request does not fit the model.
    Request(PredictError),
    /// No version answers (yet, or as asked).
    NotReady(String),
    /// The model failed.
    Failed(String),
    /// The model's own code failed over this request.
    Raised(String),
    /// Too many requests wait already.
    Busy {
        /// When to try again.
        retry_after_s: u64,
    },
    /// The deadline passed.
    TooLate,
    /// A member of a graph says so.
    Member {
        /// Which.
        member: String,
        /// What it says.
        refusal: Box<Self>,
    },
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed(_) | Self::Raised(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooLate => StatusCode::GATEWAY_TIMEOUT,
            Self::Member { refusal, .. } => refusal.status(),
        }
    }

    /// The same, said by a member of a graph.
    pub(super) fn of_member(self, member: &str) -> Self {
        Self::Member {
            member: member.to_owned(),
            refusal: Box::new(self),
        }
    }

    /// The same of the rows that `rows` tells the numbers of: a member was asked only those.
    pub(super) fn at_rows(self, rows: &[usize]) -> Self {
        match self {
            Self::Request(error) => Self::Request(error.at_rows(rows)),
            Self::Member { member, refusal } => Self::Member {
                member,
                refusal: Box::new(refusal.at_rows(rows)),
            },
            other => other,
        }
    }

    /// Whether the model failed, rather than the request, the clock or the queue.
    fn is_failure(&self) -> bool {
        match self {
            Self::Failed(_) | Self::Raised(_) => true,
            Self::Member { refusal, .. } => refusal.is_failure(),
            _ => false,
        }
    }

    pub(super) fn message(self) -> String {
        match self {
            Self::Request(error) => error.to_string(),
            Self::Unknown(message)
            | Self::NotReady(message)
            | Self::Failed(message)
            | Self::Raised(message) => message,
            Self::Busy { retry_after_s } => {
                format!("too many requests wait for this model; try again in {retry_after_s} s")
            }
            Self::TooLate => "the deadline passed before the model could answer".into(),
            Self::Member { member, refusal } => format!("{member}: {}", refusal.message()),
        }
    }

    pub(super) fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Busy { retry_after_s } => Some(*retry_after_s),
            Self::Member { refusal, .. } => refusal.retry_after_s(),
            _ => None,
        }
    }
}

/// Why a body could not be read whole.
pub(super) fn unread(rejection: &BytesRejection) -> String {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let mib = super::BODY_BYTES_MAX >> 20;
        return format!("the body, unpacked, is larger than {mib} MiB; send fewer rows at once");
    }
    "the body breaks off, or is not packed as `Content-Encoding` says".into()
}

/// The header with the caller's own time of a request.
pub(super) const EVENT_TIME: &str = "lathe-event-time";
/// The header that carries the answer's id.
static PREDICTION_ID: HeaderName = HeaderName::from_static("lathe-prediction-id");
/// The header with the version that answered.
static MODEL_VERSION: HeaderName = HeaderName::from_static("lathe-model-version");
/// The header with the versions that answered together, where a graph did.
static MEMBERS: HeaderName = HeaderName::from_static("lathe-members");
/// The header that says whom a request is about.
pub(super) const ENTITY: &str = "lathe-entity";
/// The header that says how long the caller waits: seconds, or a span as `250ms`.
pub(super) const TIMEOUT: &str = "timeout";
/// No caller waits longer, and none overflows the clock.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

impl Request {
    /// Reads what headers (gRPC: metadata) say.
    pub(super) fn of_headers(headers: &HeaderMap) -> Result<Self, String> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let at = match text(EVENT_TIME) {
            None => None,
            Some(text) => Some(Millis::parse(text).ok_or_else(|| {
                format!("`{EVENT_TIME}: {text}` is neither ISO 8601 nor milliseconds since 1970")
            })?),
        };
        let mut request = Self {
            version: None,
            at,
            entity: text(ENTITY)
                .filter(|entity| !entity.is_empty())
                .map(str::to_owned),
            deadline: None,
        };
        if let Some(text) = text(TIMEOUT) {
            let span = timeout(text)
                .ok_or_else(|| format!("`{TIMEOUT}: {text}` is neither seconds nor a span as `250ms`"))?;
            request.limit(Some(span.as_micros() as u64));
        }
        Ok(request)
    }

    /// Shortens the deadline to so many microseconds from now; none or 0 leaves it.
    pub(super) fn limit(&mut self, timeout_us: Option<u64>) {
        if let Some(timeout_us) = timeout_us.filter(|timeout| 0 < *timeout) {
            let deadline = Instant::now() + Duration::from_micros(timeout_us).min(TIMEOUT_MAX);
            self.deadline = Some(self.deadline.map_or(deadline, |before| before.min(deadline)));
        }
    }
}

fn timeout(text: &str) -> Option<Duration> {
    let text = text.trim();
    let seconds = match text.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => text.parse::<lathe_types::Span>().ok()?.0 as f64 / 1_000.0,
    };
    (seconds.is_finite() && 0.0 < seconds)
        .then(|| Duration::from_secs_f64(seconds.min(TIMEOUT_MAX.as_secs_f64())))
}

/// Answers a request. `read` makes its rows the table that a model takes: the versions of a split may take different
/// columns, and then each is asked what the request holds for it.
pub(super) async fn answer<E: From<Refusal>>(
    deployments: &Deployments,
    live: &Arc<Live>,
    request: Request,
    mut read: impl FnMut(&Facts) -> Result<Table, E>,
) -> Result<Answered, E> {
    let bits = uuid::Uuid::now_v7().as_u128();
    let id = PredictionId::from_bits(bits);
    // Only the low 32 bits are drawn anew for each id: above them is a counter that starts anew each millisecond, and
    // a draw from it would send all requests of one millisecond to one side of the split.
    let low = match &request.entity {
        None => (bits & 0xffff_ffff) as u32,
        Some(entity) => mixed(&live.name, entity),
    };
    let draw = f64::from(low) / (1u64 << 32) as f64;
    let asked = match request.version {
        Some(version) => live.of_version(version),
        None => live.pick(draw),
    };
    let mut target = asked.ok_or_else(|| Refusal::NotReady(live.not_ready()))?;
    let now = deployments.inner.now;
    let stable = live.stable_model_or_refuse()?;
    // A version that could not be loaded says so when it is asked.
    let mut facts = target.facts().unwrap_or(stable);
    let started = Instant::now();
    let has_stand_in = target.role == Role::Canary && request.version.is_none();
    let (mut table, mut answers) = match read(facts) {
        Ok(table) => {
            let table = Arc::new(table);
            let answers = ask(target, &table, draw, request.deadline, now).await;
            (table, answers)
        }
        Err(error) if !has_stand_in || facts.is_asked_as(stable) => return Err(error),
        Err(_) => {
            // A request that fits neither is its caller's mistake, one that only fits the stable version the canary's.
            let table = Arc::new(read(stable)?);
            facts = stable;
            (table, Err(misfit(target, started.elapsed(), now)))
        }
    };
    if has_stand_in
        && answers.as_ref().is_err_and(Refusal::is_failure)
        && let Some(instead) = live.of_role(Role::Stable)
    {
        if !facts.is_asked_as(stable) {
            table = Arc::new(read(stable)?);
            facts = stable;
        }
        target = instead;
        answers = ask(instead, &table, draw, request.deadline, now).await;
    }
    let (answers, members) = answers?;
    if target.role == Role::Stable
        && let Some(shadow) = live.of_role(Role::Shadow)
    {
        match shadow.facts() {
            Some(its) if !its.is_asked_as(facts) => match read(its) {
                Ok(table) => copy_to_shadow(live, &Arc::new(table), draw, now),
                Err(_) => drop(misfit(shadow, Duration::ZERO, now)),
            },
            _ => copy_to_shadow(live, &table, draw, now),
        }
    }
    let answered = Answered {
        id,
        version: target.version,
        answers,
        members,
    };
    record(
        deployments,
        live,
        target,
        &table,
        &answered,
        request.at,
        started.elapsed(),
    );
    Ok(answered)
}

/// Counts a request that a version cannot be asked, as it takes other columns than the one that it is to replace.
fn misfit(target: &LiveTarget, took: Duration, now: fn() -> Millis) -> Refusal {
    let refusal = Refusal::Failed(format!(
        "version {} takes other columns than the request holds",
        target.version
    ));
    if let Ok(model) = &target.model {
        model
            .totals()
            .answered(Some(Reason::from(&refusal)), took, now().0);
    }
    target.count(true, took.as_micros() as u64);
    refusal
}

/// A draw that is the same for an entity in every process: FNV-1a, its bits mixed as by SplitMix64.
pub(super) fn mixed(deployment: &str, entity: &str) -> u32 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for byte in deployment.bytes().chain([0]).chain(entity.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ hash >> 31) >> 32) as u32
}

/// Asks one target and counts what it did. A request that does not fit, or finds no place, counts for nobody.
async fn ask(
    target: &LiveTarget,
    table: &Arc<Table>,
    draw: f64,
    deadline: Option<Instant>,
    now: fn() -> Millis,
) -> Result<(Answers, Option<Members>), Refusal> {
    let started = Instant::now();
    let result = predict(target, table, draw, deadline).await;
    let took = started.elapsed();
    if let Ok(model) = &target.model {
        let failed = result.as_ref().err().map(Reason::from);
        model.totals().answered(failed, took, now().0);
    }
    let failed = match &result {
        Ok(_) => false,
        Err(refusal) if refusal.is_failure() => true,
        Err(_) => return result,
    };
    target.count(failed, took.as_micros() as u64);
    result
}

async fn predict(
    target: &LiveTarget,
    table: &Arc<Table>,
    draw: f64,
    deadline: Option<Instant>,
) -> Result<(Answers, Option<Members>), Refusal> {
    if let Some(fault) = &target.fault {
        if 0 < fault.delay_ms {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        }
        // The split uses up the coarse part of the draw, so the fault takes a finer one.
        if (draw * 1e4).fract() < fault.error_share {
            return Err(Refusal::Failed("a fault was injected on purpose".into()));
        }
    }
    match &target.model {
        Ok(model) => model.predict(table, deadline).await,
        Err(reason) => Err(Refusal::Failed(reason.clone())),
    }
}

/// Lets the shadow see the request, aside; while too many copies wait for it already, it misses some.
fn copy_to_shadow(live: &Arc<Live>, table: &Arc<Table>, draw: f64, now: fn() -> Millis) {
    let Ok(permit) = live.shadow_places.clone().try_acquire_owned() else {
        return;
    };
    let (live, table) = (live.clone(), table.clone());
    tokio::spawn(async move {
        let _permit = permit;
        if let Some(target) = live.of_role(Role::Shadow) {
            // The answer is counted and thrown away.
            let _ = ask(target, &table, draw, None, now).await;
        }
    });
}

fn record(
    deployments: &Deployments,
    live: &Live,
    target: &LiveTarget,
    table: &Table,
    answered: &Answered,
    at: Option<Millis>,
    took: Duration,
) {
    let Some(samples) = &deployments.inner.samples else {
        return;
    };
    let kept = deployments.inner.payloads.as_ref().zip(target.kept.as_ref());
    let at = at.unwrap_or_else(deployments.inner.now);
    // A Python model may answer with more than there were rows.
    let predictions = answered.answers.values().into_iter().take(table.rows());
    for (row, prediction) in predictions.enumerate() {
        let sample = Sample {
            prediction_id: answered.id.row(row, table.rows()),
            deployment: live.name.clone(),
            model: live.model.clone(),
            version: target.version,
            members: match &answered.members {
                None => Vec::new(),
                Some(members) => members
                    .of_row(row)
                    .iter()
                    .map(|version| (**version).clone())
                    .collect(),
            },
            role: target.role,
            at,
            latency_us: took.as_micros() as u64,
            features: table.record(row),
            prediction,
        };
        if let Some((payloads, kept)) = kept {
            payloads.offer(&sample, kept);
        }
        if samples.try_send(sample).is_err() {
            let dropped = deployments.inner.samples_dropped.fetch_add(1, Relaxed) + 1;
            // Answers come first: a watcher that cannot keep up loses rows, and says so, but not for each.
            if dropped.is_power_of_two() {
                tracing::warn!(
                    deployment = live.name,
                    dropped,
                    "the watcher is behind; samples are dropped"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_stays_on_its_side_and_entities_are_spread() {
        let share = |name: &str| {
            let draws = (0..10_000).map(|n| f64::from(mixed(name, &format!("user-{n}"))) / 2f64.powi(32));
            draws.filter(|draw| *draw < 0.2).count()
        };
        assert_eq!(mixed("a", "user-1"), mixed("a", "user-1"));
        assert_ne!(mixed("a", "user-1"), mixed("b", "user-1"));
        for name in ["a", "bike-demand"] {
            assert!((1_850..2_150).contains(&share(name)), "{}", share(name));
        }
    }

    #[test]
    fn timeouts_are_seconds_or_spans() {
        assert_eq!(timeout("1.5"), Some(Duration::from_millis(1_500)));
        assert_eq!(timeout("250ms"), Some(Duration::from_millis(250)));
        for wrong in ["", "soon", "-1", "nan", "0"] {
            assert_eq!(timeout(wrong), None, "{wrong}");
        }
    }
}
