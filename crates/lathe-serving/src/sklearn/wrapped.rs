//! LightGBM and XGBoost behind scikit-learn's interface.

use super::classes::Classes;
use super::frame::Frame;
use super::matrix::first_greatest;
use super::{Estimate, Scores, Shape, What};
use crate::error::Fault;
use crate::objects::Ref;
use crate::{PredictError, Table, lightgbm, xgboost};

#[derive(Debug)]
pub(super) struct Wrapped {
    booster: Booster,
    features: usize,
    classes: Option<Classes>,
}

#[derive(Debug)]
enum Booster {
    Lightgbm(Box<lightgbm::Booster>),
    Xgboost(Box<xgboost::Booster>),
}

impl Wrapped {
    pub(super) fn lightgbm(node: Ref<'_>) -> Result<Self, Fault> {
        let state = node.attr("_Booster")?;
        let text = state
            .find("_handle")
            .map_or_else(|| state.attr("handle"), Ok)?
            .bytes()?;
        node.charge(text.len().saturating_mul(2))?;
        let mut booster = lightgbm::read(text)?;
        let best = state.some("best_iteration").and_then(|best| best.integer().ok());
        if let Some(best) = best
            .and_then(|best| usize::try_from(best).ok())
            .filter(|best| 0 < *best)
        {
            booster.limit(best);
        }
        let classes = match node.class() {
            "LGBMClassifier" => Some(match node.some("_le") {
                Some(encoder) => Classes::of(encoder)?,
                None => Classes::read(node.attr("_classes")?)?,
            }),
            _ => None,
        };
        let expected = match &classes {
            Some(classes) if classes.len() == 2 => 1,
            Some(classes) => classes.len(),
            None => booster.width(),
        };
        if booster.width() != expected || expected == 1 && classes.is_some() && !booster.is_binary() {
            return Err(Fault::Unsupported(
                "the classifier has an objective of its own".into(),
            ));
        }
        Ok(Self {
            features: crate::predictor::Predictor::inputs(&booster).columns.len(),
            booster: Booster::Lightgbm(Box::new(booster)),
            classes,
        })
    }

    pub(super) fn xgboost(node: Ref<'_>) -> Result<Self, Fault> {
        if node
            .some("missing")
            .is_some_and(|missing| missing.float().is_ok_and(|missing| !missing.is_nan()))
        {
            return Err(Fault::Unsupported(
                "the model counts a number as missing (`missing`)".into(),
            ));
        }
        let bytes = node.attr("_Booster")?.attr("handle")?.bytes()?;
        node.charge(bytes.len().saturating_mul(2))?;
        let mut booster = xgboost::read(bytes)?;
        booster.answer_as(node.class());
        let classes = matches!(node.class(), "XGBClassifier" | "XGBRFClassifier")
            .then(|| Classes::numbered(booster.classes()));
        Ok(Self {
            features: crate::predictor::Predictor::inputs(&booster).columns.len(),
            booster: Booster::Xgboost(Box::new(booster)),
            classes,
        })
    }
}

impl Estimate for Wrapped {
    fn shape(&self) -> Shape {
        match (&self.classes, &self.booster) {
            (Some(classes), _) => Shape::Classes(classes.clone()),
            (None, Booster::Lightgbm(booster)) if 1 < booster.width() => {
                Shape::Numbers(Some(booster.width()))
            }
            _ => Shape::Numbers(None),
        }
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        frame.expect(self.features)?;
        let table = Table::of_frame(
            frame.names.clone(),
            frame.rows,
            frame.width,
            frame.values.clone(),
            frame.words.clone(),
        );
        let (width, values) = match &self.booster {
            Booster::Lightgbm(booster) => (booster.width(), booster.answers(&table)),
            Booster::Xgboost(booster) => {
                let (width, values) = booster.scores(&table)?;
                (width, values.into_iter().map(f64::from).collect())
            }
        };
        Ok(match (&self.classes, what) {
            (None, _) => Scores::Numbers {
                width: (1 < width).then_some(width),
                values,
            },
            (Some(_), What::Predict) if width == 1 => {
                Scores::Classes(values.iter().map(|p| usize::from(0.5 < *p)).collect())
            }
            (Some(_), What::Predict) => {
                Scores::Classes(values.chunks_exact(width).map(first_greatest).collect())
            }
            // XGBoost's complement is of f32, as its probability.
            (Some(_), _) if width == 1 => Scores::many(
                2,
                match self.booster {
                    Booster::Lightgbm(_) => values.into_iter().flat_map(|p| [1.0 - p, p]).collect(),
                    Booster::Xgboost(_) => values
                        .into_iter()
                        .flat_map(|p| [f64::from(1.0 - p as f32), p])
                        .collect(),
                },
            ),
            (Some(_), _) => Scores::many(width, values),
        })
    }

    fn can(&self, what: What) -> bool {
        what == What::Predict || what == What::Probabilities && self.classes.is_some()
    }
}
