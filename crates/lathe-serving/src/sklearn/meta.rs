//! Estimators that ask other estimators.

use super::build;
use super::classes::Classes;
use super::frame::Frame;
use super::matrix::{first_greatest, logistic, softmax};
use super::scale::{Function, Scale, interpolate};
use super::{Estimate, Scores, Shape, What};
use crate::PredictError;
use crate::error::Fault;
use crate::objects::Ref;

type Members = Vec<Box<dyn Estimate>>;

fn members(list: Ref<'_>, depth: usize) -> Result<Members, Fault> {
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

fn own_classes(member: &dyn Estimate) -> Option<Classes> {
    match member.shape() {
        Shape::Classes(classes) => Some(classes),
        _ => None,
    }
}

/// One number a row of a member's `predict`.
fn predicted(member: &dyn Estimate, frame: &Frame) -> Result<Vec<f64>, PredictError> {
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

/// Stacking: the last estimator sees what the others answer.
#[derive(Debug)]
pub(super) struct Stack {
    members: Vec<(Box<dyn Estimate>, What)>,
    last: Box<dyn Estimate>,
    passthrough: bool,
    classes: Option<Classes>,
}

impl Stack {
    pub(super) fn read(node: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        let members = members(node.attr("estimators_")?, depth)?;
        let methods = node.attr("stack_method_")?.texts()?;
        if methods.len() != members.len() {
            return Err("`stack_method_` does not fit the estimators".into());
        }
        let what = |method: &str| match method {
            "predict_proba" => What::Probabilities,
            "decision_function" => What::Decision,
            _ => What::Predict,
        };
        let members = members
            .into_iter()
            .zip(methods)
            .map(|(member, method)| (member, what(&method)))
            .collect();
        let classifier = node.class() == "StackingClassifier";
        Ok(Self {
            members,
            last: build::estimator(node.attr("final_estimator_")?, depth + 1)?,
            passthrough: node.attr("passthrough")?.boolean()?,
            classes: classifier.then(|| Classes::of(node)).transpose()?,
        })
    }
}

impl Estimate for Stack {
    fn shape(&self) -> Shape {
        self.classes
            .clone()
            .map_or_else(|| self.last.shape(), Shape::Classes)
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let mut parts = Vec::new();
        for (member, what) in &self.members {
            let own = own_classes(member.as_ref());
            let (width, values) = member.scores(frame, *what)?.numbers(own.as_ref());
            // Of two probabilities, the second says all.
            parts.push(match *what == What::Probabilities && width == 2 {
                true => Frame::of_numbers(
                    frame.rows,
                    1,
                    values.chunks_exact(2).map(|pair| pair[1]).collect(),
                ),
                false => Frame::of_numbers(frame.rows, width, values),
            });
        }
        if self.passthrough {
            parts.push(frame.clone());
        }
        self.last.scores(&Frame::beside(frame.rows, parts), what)
    }

    fn can(&self, what: What) -> bool {
        self.last.can(what)
    }

    fn takes_words(&self, column: usize) -> bool {
        self.members[0].0.takes_words(column)
    }
}

/// `CalibratedClassifierCV`.
#[derive(Debug)]
pub(super) struct Calibrated {
    members: Vec<(Box<dyn Estimate>, Vec<Calibrator>)>,
    classes: Classes,
}

#[derive(Debug)]
enum Calibrator {
    Sigmoid { a: f64, b: f64 },
    Isotonic { xs: Vec<f64>, ys: Vec<f64> },
}

impl Calibrator {
    fn read(node: Ref<'_>) -> Result<Self, Fault> {
        match node.class() {
            "_SigmoidCalibration" => Ok(Self::Sigmoid {
                a: node.attr("a_")?.float()?,
                b: node.attr("b_")?.float()?,
            }),
            "IsotonicRegression" => {
                let xs = node.attr("X_thresholds_")?.floats()?;
                let ys = node.attr("y_thresholds_")?.floats()?;
                match xs.len() == ys.len() && !xs.is_empty() {
                    true => Ok(Self::Isotonic { xs, ys }),
                    false => Err("the isotonic regression has no thresholds".into()),
                }
            }
            other => Err(Fault::Unsupported(format!(
                "the native engine does not know the calibration `{other}`"
            ))),
        }
    }

    fn of(&self, x: f64) -> f64 {
        match self {
            Self::Sigmoid { a, b } => logistic(-(a * x + b)),
            Self::Isotonic { xs, ys } => interpolate(x, xs, ys),
        }
    }
}

impl Calibrated {
    pub(super) fn read(node: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        let classes = Classes::of(node)?;
        let mut members = Vec::new();
        for member in node.attr("calibrated_classifiers_")?.list()? {
            let estimate = build::estimator(member.attr("estimator")?, depth + 1)?;
            let calibrators = member.attr("calibrators")?.list()?;
            let calibrators = calibrators
                .into_iter()
                .map(Calibrator::read)
                .collect::<Result<Vec<_>, _>>()?;
            let expected = if classes.len() == 2 { 1 } else { classes.len() };
            let own = own_classes(estimate.as_ref()).map_or(0, |own| own.len());
            if calibrators.len() != expected || own != classes.len() {
                return Err(Fault::Unsupported(
                    "a calibrated classifier did not see all classes".into(),
                ));
            }
            members.push((estimate, calibrators));
        }
        match members.is_empty() {
            true => Err("the ensemble has no estimators".into()),
            false => Ok(Self { members, classes }),
        }
    }
}

impl Estimate for Calibrated {
    fn shape(&self) -> Shape {
        Shape::Classes(self.classes.clone())
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let width = self.classes.len();
        let mut sums = vec![0.0; frame.rows * width];
        for (member, calibrators) in &self.members {
            let asked = if member.can(What::Decision) {
                What::Decision
            } else {
                What::Probabilities
            };
            let (columns, values) = member.scores(frame, asked)?.numbers(None);
            for (sums, values) in sums.chunks_exact_mut(width).zip(values.chunks_exact(columns)) {
                if width == 2 {
                    let p = calibrators[0].of(values[columns - 1]);
                    sums[0] += 1.0 - p;
                    sums[1] += p;
                    continue;
                }
                let shares: Vec<f64> = calibrators
                    .iter()
                    .zip(values)
                    .map(|(calibrator, x)| calibrator.of(*x))
                    .collect();
                let total: f64 = shares.iter().sum();
                for (sum, share) in sums.iter_mut().zip(shares) {
                    let share = if total == 0.0 {
                        1.0 / width as f64
                    } else {
                        share / total
                    };
                    // Rounding may leave it a little over 1.
                    *sum += if 1.0 < share && share <= 1.0 + 1e-5 {
                        1.0
                    } else {
                        share
                    };
                }
            }
        }
        let count = self.members.len() as f64;
        sums.iter_mut().for_each(|sum| *sum /= count);
        Ok(match what {
            What::Predict => Scores::Classes(sums.chunks_exact(width).map(first_greatest).collect()),
            _ => Scores::many(width, sums),
        })
    }

    fn can(&self, what: What) -> bool {
        what != What::Decision
    }

    fn takes_words(&self, column: usize) -> bool {
        self.members[0].0.takes_words(column)
    }
}

/// `TransformedTargetRegressor`.
#[derive(Debug)]
pub(super) struct Retransformed {
    inner: Box<dyn Estimate>,
    back: Back,
}

#[derive(Debug)]
enum Back {
    Function(Function),
    Scale(Scale),
}

impl Retransformed {
    pub(super) fn read(node: Ref<'_>, depth: usize) -> Result<Self, Fault> {
        let transformer = node.attr("transformer_")?;
        let back = match transformer.class() {
            "FunctionTransformer" => Back::Function(Function::read(transformer.some("inverse_func"))?),
            "StandardScaler" | "MinMaxScaler" | "MaxAbsScaler" | "RobustScaler" => {
                Back::Scale(Scale::read(transformer)?)
            }
            other => {
                return Err(Fault::Unsupported(format!(
                    "the native engine cannot undo the target's `{other}`"
                )));
            }
        };
        Ok(Self {
            inner: build::estimator(node.attr("regressor_")?, depth + 1)?,
            back,
        })
    }
}

impl Estimate for Retransformed {
    fn shape(&self) -> Shape {
        Shape::Numbers(None)
    }

    fn scores(&self, frame: &Frame, _: What) -> Result<Scores, PredictError> {
        let values = predicted(self.inner.as_ref(), frame)?;
        let back = |x: f64| match &self.back {
            Back::Function(function) => function.of(x),
            Back::Scale(scale) => scale.inverse(x),
        };
        Ok(Scores::one(values.into_iter().map(back).collect()))
    }

    fn can(&self, what: What) -> bool {
        what == What::Predict
    }

    fn takes_words(&self, column: usize) -> bool {
        self.inner.takes_words(column)
    }
}

/// `OneVsRestClassifier` of three classes or more, and `MultiOutputRegressor`: an estimator a column.
#[derive(Debug)]
pub(super) struct Each {
    members: Members,
    classes: Option<Classes>,
}

impl Each {
    pub(super) fn read(node: Ref<'_>, classifier: bool, depth: usize) -> Result<Self, Fault> {
        let members = members(node.attr("estimators_")?, depth)?;
        let classes = match classifier {
            false => None,
            true => Some(Classes::of(node.attr("label_binarizer_")?)?),
        };
        if classes
            .as_ref()
            .is_some_and(|classes| classes.len() != members.len())
        {
            return Err(Fault::Unsupported(
                "a classifier of one class against the rest has only two classes".into(),
            ));
        }
        Ok(Self { members, classes })
    }

    fn columns(&self, frame: &Frame, what: impl Fn(&dyn Estimate) -> What) -> Result<Vec<f64>, PredictError> {
        let width = self.members.len();
        let mut values = vec![0.0; frame.rows * width];
        for (column, member) in self.members.iter().enumerate() {
            let (each, numbers) = member.scores(frame, what(member.as_ref()))?.numbers(None);
            for (row, numbers) in numbers.chunks_exact(each).enumerate() {
                values[row * width + column] = numbers[each - 1];
            }
        }
        Ok(values)
    }
}

impl Estimate for Each {
    fn shape(&self) -> Shape {
        self.classes
            .clone()
            .map_or(Shape::Numbers(Some(self.members.len())), Shape::Classes)
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let width = self.members.len();
        if self.classes.is_none() {
            return Ok(Scores::many(width, self.columns(frame, |_| What::Predict)?));
        }
        let deciding = |member: &dyn Estimate| match member.can(What::Decision) {
            true => What::Decision,
            false => What::Probabilities,
        };
        if what == What::Predict {
            let values = self.columns(frame, deciding)?;
            return Ok(Scores::Classes(
                values.chunks_exact(width).map(first_greatest).collect(),
            ));
        }
        let mut values = self.columns(frame, |_| what)?;
        if what == What::Probabilities {
            for row in values.chunks_exact_mut(width) {
                let sum: f64 = row.iter().sum();
                row.iter_mut()
                    .for_each(|p| *p = if sum == 0.0 { 1.0 / width as f64 } else { *p / sum });
            }
        }
        Ok(Scores::many(width, values))
    }

    fn can(&self, what: What) -> bool {
        match what {
            What::Predict => true,
            what => self.classes.is_some() && self.members.iter().all(|member| member.can(what)),
        }
    }

    fn takes_words(&self, column: usize) -> bool {
        self.members[0].takes_words(column)
    }
}

/// `DummyRegressor`, `DummyClassifier` that always say the same.
#[derive(Debug)]
pub(super) struct Dummy {
    answer: Vec<f64>,
    classes: Option<Classes>,
    /// Whether all probability is given to the most frequent class.
    certain: bool,
}

impl Dummy {
    pub(super) fn read(node: Ref<'_>) -> Result<Self, Fault> {
        if node.class() == "DummyRegressor" {
            return Ok(Self {
                answer: node.attr("constant_")?.floats()?,
                classes: None,
                certain: false,
            });
        }
        let strategy = node.attr("strategy")?.text()?;
        if !matches!(strategy, "prior" | "most_frequent") {
            return Err(Fault::Unsupported(format!(
                "the classifier answers by the strategy `{strategy}`"
            )));
        }
        let classes = Classes::of(node)?;
        let answer = super::matrix::floats(node.attr("class_prior_")?, classes.len(), "class_prior_")?;
        Ok(Self {
            answer,
            classes: Some(classes),
            certain: strategy == "most_frequent",
        })
    }
}

impl Estimate for Dummy {
    fn shape(&self) -> Shape {
        match &self.classes {
            Some(classes) => Shape::Classes(classes.clone()),
            None => Shape::Numbers((1 < self.answer.len()).then_some(self.answer.len())),
        }
    }

    fn scores(&self, frame: &Frame, what: What) -> Result<Scores, PredictError> {
        let best = first_greatest(&self.answer);
        let width = self.answer.len();
        Ok(match (&self.classes, what) {
            (Some(_), What::Predict) => Scores::Classes(vec![best; frame.rows]),
            (Some(_), _) if self.certain => {
                let row: Vec<f64> = (0..width)
                    .map(|class| f64::from(u8::from(class == best)))
                    .collect();
                Scores::many(width, row.repeat(frame.rows))
            }
            (Some(_), _) => Scores::many(width, self.answer.repeat(frame.rows)),
            (None, _) => Scores::Numbers {
                width: (1 < width).then_some(width),
                values: self.answer.repeat(frame.rows),
            },
        })
    }

    fn can(&self, what: What) -> bool {
        what == What::Predict || what == What::Probabilities && self.classes.is_some()
    }
}
