//! Ensembles whose members are of any kind and answer together.

use super::build;
use super::classes::Classes;
use super::frame::Frame;
use super::matrix::{first_greatest, softmax};
use super::{Estimate, Scores, Shape, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;

pub(super) type Members = Vec<Box<dyn Estimate>>;

pub(super) fn members(list: Ref<'_>, depth: usize) -> Result<Members, Fault> {
    let read: Members = list
        .list()?
        .into_iter()
        .map(|member| build::estimator(member, depth + 1))
        .collect::<Result<_, _>>()?;
    match read.is_empty() {
        true => Err("the ensemble has no estimators".into()),
        false => Ok(read),
    }
}

fn weights(node: Ref<'_>, name: &str, count: usize) -> Result<Vec<f64>, Fault> {
    match node.some(name) {
        None => Ok(vec![1.0; count]),
        Some(weights) => {
            let weights = weights.floats()?;
            match count <= weights.len() {
                true => Ok(weights[..count].to_vec()),
                false => Err(Fault::Damaged(format!("`{name}` has too few weights"))),
            }
        }
    }
}

pub(super) fn own_classes(member: &dyn Estimate) -> Option<Classes> {
    match member.shape() {
        Shape::Classes(classes) => Some(classes),
        _ => None,
    }
}

/// One number a row of a member's `predict`.
pub(super) fn predicted(member: &dyn Estimate, frame: &Frame) -> Result<Vec<f64>, PredictError> {
    let classes = own_classes(member);
    Ok(member.scores(frame, What::Predict)?.numbers(classes.as_ref()).1)
}

/// How an ensemble of classifiers agrees.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Agreement {
    /// The mean of the probabilities.
    Soft,
    /// The most votes.
    Hard,
    /// AdaBoost's weighed votes for and against.
    Boost,
}

/// Voting, bagging and AdaBoost, of classifiers.
#[derive(Debug)]
pub(super) struct Council {
    members: Members,
    /// The columns that each member sees; none sees all.
    columns: Option<Vec<Vec<usize>>>,
    weights: Vec<f64>,
    classes: Classes,
    /// By member: the place among `classes` of each of its own.
    places: Vec<Vec<usize>>,
    agreement: Agreement,
}

impl Council {
    pub(super) fn read(node: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        let members = members(node.attr("estimators_")?, depth)?;
        let classes = Classes::of(node)?;
        let probable = members.iter().all(|member| member.can(What::Probabilities));
        let (weight_name, agreement) = match node.class() {
            "VotingClassifier" if node.attr("voting")?.text()? == "soft" => ("weights", Agreement::Soft),
            "VotingClassifier" => ("weights", Agreement::Hard),
            "AdaBoostClassifier" => {
                if node
                    .some("algorithm")
                    .is_some_and(|name| name.text().is_ok_and(|name| name == "SAMME.R"))
                {
                    return Err(Fault::Unsupported(
                        "the model is AdaBoost by `SAMME.R`, as older versions made".into(),
                    ));
                }
                ("estimator_weights_", Agreement::Boost)
            }
            _ if probable => ("no weights", Agreement::Soft),
            _ => ("no weights", Agreement::Hard),
        };
        // Members of voting and bagging were fitted on the numbers of the classes.
        let encoded = agreement != Agreement::Boost;
        let mut places = Vec::new();
        for member in &members {
            let own = own_classes(member.as_ref()).ok_or("a member of the ensemble is no classifier")?;
            let place = |class: usize| match encoded {
                true => Some(own.number(class) as usize).filter(|place| *place < classes.len()),
                false => classes.position(&own, class),
            };
            let found: Option<Vec<usize>> = (0..own.len()).map(place).collect();
            places.push(found.ok_or("a member of the ensemble knows other classes")?);
        }
        let columns = match node.some("estimators_features_") {
            None => None,
            Some(lists) => {
                let lists = lists
                    .list()?
                    .into_iter()
                    .map(Ref::indices)
                    .collect::<Result<Vec<_>, _>>()?;
                let width = super::forest::features(node)?;
                if lists.len() != members.len() || lists.iter().flatten().any(|column| width <= *column) {
                    return Err("`estimators_features_` does not fit the estimators".into());
                }
                let all: Vec<usize> = (0..width).collect();
                (!lists.iter().all(|list| *list == all)).then_some(lists)
            }
        };
        Ok(Self {
            weights: weights(node, weight_name, members.len())?,
            members,
            columns,
            classes,
            places,
            agreement,
        })
    }

    fn sums(&self, frame: &Frame) -> Result<Vec<f64>, PredictError> {
        let width = self.classes.len();
        let against = -1.0 / (width as f64 - 1.0).max(1.0);
        let mut sums = vec![0.0; frame.rows * width];
        for (index, member) in self.members.iter().enumerate() {
            let seen;
            let frame = match &self.columns {
                None => frame,
                Some(columns) => {
                    if let Some(most) = columns[index].iter().max().filter(|most| frame.width <= **most) {
                        frame.expect(most + 1)?;
                    }
                    seen = frame.select(&columns[index]);
                    &seen
                }
            };
            let (weight, places) = (self.weights[index], &self.places[index]);
            if self.agreement == Agreement::Soft {
                let shares = member.scores(frame, What::Probabilities)?.numbers(None).1;
                for (row, shares) in shares.chunks_exact(places.len()).enumerate() {
                    for (share, place) in shares.iter().zip(places) {
                        sums[row * width + place] += weight * share;
                    }
                }
                continue;
            }
            let Scores::Classes(found) = member.scores(frame, What::Predict)? else {
                return Err(PredictError::Shape(
                    "a member of the ensemble names no class".into(),
                ));
            };
            for (sums, class) in sums.chunks_exact_mut(width).zip(found) {
                if self.agreement == Agreement::Boost {
                    sums.iter_mut().for_each(|sum| *sum += weight * against);
                    sums[places[class]] += weight * (1.0 - against);
                } else {
                    sums[places[class]] += weight;
                }
            }
        }
        let total: f64 = self.weights.iter().sum();
        sums.iter_mut().for_each(|sum| *sum /= total);
        Ok(sums)
    }
}

impl Estimate for Council {
    fn shape(&self) -> Shape {
        Shape::Classes(self.classes.clone())
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let width = self.classes.len();
        let mut sums = self.sums(frame)?;
        Ok(match (what, self.agreement) {
            (What::Predict, _) => Scores::Classes(sums.chunks_exact(width).map(first_greatest).collect()),
            (What::Decision, _) if width == 2 => {
                Scores::one(sums.chunks_exact(2).map(|pair| pair[1] - pair[0]).collect())
            }
            (What::Probabilities, Agreement::Boost) => {
                for row in sums.chunks_exact_mut(width) {
                    if width == 2 {
                        let decision = row[1] - row[0];
                        row.copy_from_slice(&[-decision / 2.0, decision / 2.0]);
                    } else {
                        row.iter_mut().for_each(|x| *x /= width as f64 - 1.0);
                    }
                    softmax(row);
                }
                Scores::many(width, sums)
            }
            _ => Scores::many(width, sums),
        })
    }

    fn can(&self, what: What) -> bool {
        match what {
            What::Predict => true,
            What::Probabilities => self.agreement != Agreement::Hard || self.columns.is_some(),
            What::Decision => self.agreement == Agreement::Boost,
        }
    }

    fn takes_words(&self, column: usize) -> bool {
        self.members[0].takes_words(column)
    }
}

/// Voting, bagging and AdaBoost, of regressors.
#[derive(Debug)]
pub(super) struct Mean {
    members: Members,
    columns: Option<Vec<Vec<usize>>>,
    weights: Vec<f64>,
    /// The weighed median instead of the mean.
    median: bool,
}

impl Mean {
    pub(super) fn read(node: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        let members = members(node.attr("estimators_")?, depth)?;
        let (weight_name, median) = match node.class() {
            "VotingRegressor" => ("weights", false),
            "AdaBoostRegressor" => ("estimator_weights_", true),
            _ => ("no weights", false),
        };
        let columns = node.some("estimators_features_").map(Ref::list).transpose()?;
        let columns = columns
            .map(|lists| lists.into_iter().map(Ref::indices).collect())
            .transpose()?;
        if columns
            .as_ref()
            .is_some_and(|lists: &Vec<_>| lists.len() != members.len())
        {
            return Err("`estimators_features_` does not fit the estimators".into());
        }
        Ok(Self {
            weights: weights(node, weight_name, members.len())?,
            members,
            columns,
            median,
        })
    }
}

impl Estimate for Mean {
    fn shape(&self) -> Shape {
        Shape::Numbers(None)
    }

    fn scores(&self, frame: &Frame, _: What) -> Result<Scores, PredictError> {
        let mut answers = Vec::with_capacity(self.members.len());
        for (index, member) in self.members.iter().enumerate() {
            let answer = match &self.columns {
                None => predicted(member.as_ref(), frame)?,
                Some(columns) => {
                    if let Some(most) = columns[index].iter().max().filter(|most| frame.width <= **most) {
                        frame.expect(most + 1)?;
                    }
                    predicted(member.as_ref(), &frame.select(&columns[index]))?
                }
            };
            if answer.len() != frame.rows {
                return Err(PredictError::Shape(
                    "a member of the ensemble has several outputs".into(),
                ));
            }
            answers.push(answer);
        }
        let total: f64 = self.weights.iter().sum();
        let row = |row: usize| {
            if !self.median {
                let sum: f64 = answers
                    .iter()
                    .zip(&self.weights)
                    .map(|(answer, weight)| weight * answer[row])
                    .sum();
                return sum / total;
            }
            let mut ordered: Vec<(f64, f64)> = answers
                .iter()
                .zip(&self.weights)
                .map(|(answer, weight)| (answer[row], *weight))
                .collect();
            ordered.sort_by(|a, b| a.0.total_cmp(&b.0));
            let mut passed = 0.0;
            let sum: f64 = ordered.iter().map(|(_, weight)| weight).sum();
            let middle = ordered.iter().find(|(_, weight)| {
                passed += weight;
                0.5 * sum <= passed
            });
            middle.map_or(f64::NAN, |(answer, _)| *answer)
        };
        Ok(Scores::one((0..frame.rows).map(row).collect()))
    }

    fn can(&self, what: What) -> bool {
        what == What::Predict
    }

    fn takes_words(&self, column: usize) -> bool {
        self.members[0].takes_words(column)
    }
}
