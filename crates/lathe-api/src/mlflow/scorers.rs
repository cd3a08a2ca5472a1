//! Scorers on the wire.

use lathe_types::scorers::{OnlineScoring, ScorerVersion};
use lathe_types::{InputError, Millis};
use serde::{Deserialize, Serialize};

use super::{Double, Int64};

/// `scorers/register`, `get`, `delete`, `versions`
#[derive(Debug, Deserialize)]
pub struct ScorerRequest {
    /// Required.
    pub experiment_id: Option<String>,
    /// Required.
    pub name: Option<String>,
    /// Absent: the newest, or all where some are deleted.
    pub version: Option<Int64>,
    /// To register: how it judges, as JSON.
    pub serialized_scorer: Option<String>,
}

/// `GET scorers/list`
#[derive(Debug, Deserialize)]
pub struct ListScorers {
    /// Those of one experiment.
    pub experiment_id: Option<String>,
    /// Those of several experiments.
    pub experiment_ids: Option<Vec<String>>,
}

impl ListScorers {
    /// The experiments that are meant; none: all.
    pub fn experiments(self) -> Result<Option<Vec<String>>, InputError> {
        match (
            self.experiment_id.filter(|id| !id.is_empty()),
            self.experiment_ids,
        ) {
            (Some(_), Some(_)) => Err(InputError::invalid(
                "experiment_ids",
                "…",
                "Cannot specify both 'experiment_id' and 'experiment_ids'.",
            )),
            (Some(id), None) => Ok(Some(vec![id])),
            (None, ids) => Ok(ids),
        }
    }
}

/// `PUT scorers/online-config`
#[derive(Debug, Deserialize)]
pub struct SetOnlineScoring {
    /// Required.
    pub experiment_id: Option<String>,
    /// Required.
    pub name: Option<String>,
    /// Required.
    pub sample_rate: Option<Double>,
    /// Only traces that fit.
    pub filter_string: Option<String>,
}

/// `GET scorers/online-configs`
#[derive(Debug, Deserialize)]
pub struct GetOnlineScorings {
    /// Which scorers.
    #[serde(default)]
    pub scorer_ids: Vec<String>,
}

/// The answer to `scorers/register`.
#[derive(Debug, Serialize)]
pub struct RegisteredScorer {
    /// Its number.
    pub version: i64,
    /// The scorer's id.
    pub scorer_id: String,
    /// Where it belongs.
    pub experiment_id: String,
    /// Its name.
    pub name: String,
    /// How it judges.
    pub serialized_scorer: String,
    /// When it was registered.
    pub creation_time: Millis,
}

/// The answer where one scorer is wanted.
#[derive(Debug, Serialize)]
pub struct ScorerReply {
    /// The scorer.
    pub scorer: Scorer,
}

/// The answer where several are.
#[derive(Debug, Serialize)]
pub struct Scorers {
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scorers: Vec<Scorer>,
}

/// A version of a scorer.
#[derive(Debug, Serialize)]
pub struct Scorer {
    /// A number here, other than elsewhere.
    pub experiment_id: i64,
    /// Its name.
    pub scorer_name: String,
    /// Its number.
    pub scorer_version: i64,
    /// How it judges.
    pub serialized_scorer: String,
    /// When it was registered.
    pub creation_time: Millis,
    /// The scorer's id.
    pub scorer_id: String,
}

/// The answer to `PUT scorers/online-config`.
#[derive(Debug, Serialize)]
pub struct OnlineConfigReply {
    /// What holds now.
    pub config: OnlineConfig,
}

/// The answer to `GET scorers/online-configs`.
#[derive(Debug, Serialize)]
pub struct OnlineConfigs {
    /// Of those scorers that have one.
    pub configs: Vec<OnlineConfig>,
}

/// Which traces a scorer judges as they come.
#[derive(Debug, Serialize)]
pub struct OnlineConfig {
    /// Its id.
    pub online_scoring_config_id: String,
    /// The scorer.
    pub scorer_id: String,
    /// The share of traces.
    pub sample_rate: f64,
    /// Only traces that fit.
    pub filter_string: Option<String>,
    /// Where it belongs.
    pub experiment_id: String,
}

impl From<ScorerVersion> for RegisteredScorer {
    fn from(scorer: ScorerVersion) -> Self {
        Self {
            version: scorer.version,
            scorer_id: scorer.scorer_id,
            experiment_id: scorer.experiment_id.to_string(),
            name: scorer.name,
            serialized_scorer: scorer.serialized,
            creation_time: scorer.created_at,
        }
    }
}

impl From<ScorerVersion> for Scorer {
    fn from(scorer: ScorerVersion) -> Self {
        Self {
            experiment_id: scorer.experiment_id.number(),
            scorer_name: scorer.name,
            scorer_version: scorer.version,
            serialized_scorer: scorer.serialized,
            creation_time: scorer.created_at,
            scorer_id: scorer.scorer_id,
        }
    }
}

impl From<OnlineScoring> for OnlineConfig {
    fn from(scoring: OnlineScoring) -> Self {
        Self {
            online_scoring_config_id: scoring.id,
            scorer_id: scoring.scorer_id,
            sample_rate: scoring.sample_rate,
            filter_string: scoring.filter,
            experiment_id: scoring.experiment_id.to_string(),
        }
    }
}
