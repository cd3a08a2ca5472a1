//! The classes that are known, by name.

use super::boosting::{Boosting, Histogram};
use super::forest::{Forest, Isolation};
use super::{Estimate, Transform};
use super::{bayes, compose, encode, impute, linear, meta, neighbors, neural, project, scale, svm, wrapped};
use crate::error::Fault;
use crate::objects::Ref;

/// Estimators within estimators beyond this are refused.
const DEPTH_MAX: usize = 24;

fn check(node: Ref<'_>, depth: usize) -> Result<(), Fault> {
    if DEPTH_MAX < depth {
        return Err("its estimators are nested too deep".into());
    }
    // Even an empty estimator takes some memory: a file must not name one without end.
    node.charge(1024)
}

/// What can be asked for answers.
pub(super) fn estimator(node: Ref<'_>, depth: usize) -> Result<Box<dyn Estimate>, Fault> {
    check(node, depth)?;
    let module = node.full_class().split('.').next().unwrap_or_default();
    Ok(match (module, node.class()) {
        ("lightgbm", "LGBMClassifier" | "LGBMRegressor" | "LGBMRanker") => {
            Box::new(wrapped::Wrapped::lightgbm(node)?)
        }
        (
            "xgboost",
            "XGBClassifier" | "XGBRegressor" | "XGBRanker" | "XGBRFClassifier" | "XGBRFRegressor",
        ) => Box::new(wrapped::Wrapped::xgboost(node)?),
        ("sklearn", class) => known(node, class, depth)?,
        _ => return Err(unknown(node)),
    })
}

fn known(node: Ref<'_>, class: &str, depth: usize) -> Result<Box<dyn Estimate>, Fault> {
    Ok(match class {
        "Pipeline" => Box::new(compose::Pipeline::read(node, depth)?),
        "GridSearchCV" | "RandomizedSearchCV" | "HalvingGridSearchCV" | "HalvingRandomSearchCV" => {
            return estimator(node.attr("best_estimator_")?, depth + 1);
        }
        "RandomForestClassifier"
        | "ExtraTreesClassifier"
        | "DecisionTreeClassifier"
        | "ExtraTreeClassifier" => Box::new(Forest::read(node, true)?),
        "RandomForestRegressor" | "ExtraTreesRegressor" | "DecisionTreeRegressor" | "ExtraTreeRegressor" => {
            Box::new(Forest::read(node, false)?)
        }
        "IsolationForest" => Box::new(Isolation::read(node)?),
        "GradientBoostingRegressor" => Box::new(Boosting::read(node, false, depth)?),
        "GradientBoostingClassifier" => Box::new(Boosting::read(node, true, depth)?),
        "HistGradientBoostingRegressor" => Box::new(Histogram::read(node, false, depth)?),
        "HistGradientBoostingClassifier" => Box::new(Histogram::read(node, true, depth)?),
        "LinearRegression"
        | "Ridge"
        | "RidgeCV"
        | "Lasso"
        | "LassoCV"
        | "LassoLars"
        | "LassoLarsCV"
        | "LassoLarsIC"
        | "Lars"
        | "LarsCV"
        | "ElasticNet"
        | "ElasticNetCV"
        | "MultiTaskLasso"
        | "MultiTaskElasticNet"
        | "BayesianRidge"
        | "ARDRegression"
        | "HuberRegressor"
        | "TheilSenRegressor"
        | "QuantileRegressor"
        | "OrthogonalMatchingPursuit"
        | "OrthogonalMatchingPursuitCV"
        | "SGDRegressor"
        | "PassiveAggressiveRegressor"
        | "LinearSVR"
        | "PoissonRegressor"
        | "GammaRegressor"
        | "TweedieRegressor" => Box::new(linear::Regressor::read(node)?),
        "LogisticRegression"
        | "LogisticRegressionCV"
        | "SGDClassifier"
        | "LinearSVC"
        | "RidgeClassifier"
        | "RidgeClassifierCV"
        | "Perceptron"
        | "PassiveAggressiveClassifier"
        | "LinearDiscriminantAnalysis" => Box::new(linear::Classifier::read(node)?),
        "GaussianNB" | "MultinomialNB" | "ComplementNB" | "BernoulliNB" | "CategoricalNB" => {
            Box::new(bayes::Bayes::read(node)?)
        }
        "SVC" | "NuSVC" | "SVR" | "NuSVR" | "OneClassSVM" => Box::new(svm::Machine::read(node)?),
        "KNeighborsClassifier" => Box::new(neighbors::Neighbours::read(node, true)?),
        "KNeighborsRegressor" => Box::new(neighbors::Neighbours::read(node, false)?),
        "KMeans" | "MiniBatchKMeans" | "BisectingKMeans" => Box::new(neighbors::Centres::read(node)?),
        "MLPClassifier" => Box::new(neural::Perceptron::read(node, true)?),
        "MLPRegressor" => Box::new(neural::Perceptron::read(node, false)?),
        "VotingClassifier" | "BaggingClassifier" | "AdaBoostClassifier" => {
            Box::new(meta::Council::read(node, depth)?)
        }
        "VotingRegressor" | "BaggingRegressor" | "AdaBoostRegressor" => {
            Box::new(meta::Mean::read(node, depth)?)
        }
        "StackingClassifier" | "StackingRegressor" => Box::new(meta::Stack::read(node, depth)?),
        "CalibratedClassifierCV" => Box::new(meta::Calibrated::read(node, depth)?),
        "TransformedTargetRegressor" => Box::new(meta::Retransformed::read(node, depth)?),
        "OneVsRestClassifier" => Box::new(meta::Each::read(node, true, depth)?),
        "MultiOutputRegressor" => Box::new(meta::Each::read(node, false, depth)?),
        "DummyClassifier" | "DummyRegressor" => Box::new(meta::Dummy::read(node)?),
        _ => return Err(unknown(node)),
    })
}

/// What changes columns.
pub(super) fn transform(node: Ref<'_>, depth: usize) -> Result<Box<dyn Transform>, Fault> {
    check(node, depth)?;
    if !node.full_class().starts_with("sklearn.") {
        return Err(unknown(node));
    }
    Ok(match node.class() {
        "Pipeline" => Box::new(compose::Sequence::read(node, depth)?),
        "ColumnTransformer" => Box::new(compose::Columns::read(node, depth)?),
        "FeatureUnion" => Box::new(compose::Union::read(node, depth)?),
        "StandardScaler" | "MinMaxScaler" | "MaxAbsScaler" | "RobustScaler" => {
            Box::new(scale::Scale::read(node)?)
        }
        "Normalizer" | "Binarizer" | "PowerTransformer" | "KBinsDiscretizer" | "QuantileTransformer" => {
            Box::new(scale::Simple::read(node)?)
        }
        "FunctionTransformer" => {
            if node
                .some("kw_args")
                .is_some_and(|arguments| arguments.entries().is_ok_and(|entries| !entries.is_empty()))
            {
                return Err(Fault::Unsupported(
                    "a step calls a function with arguments of its own".into(),
                ));
            }
            Box::new(scale::Function::read(node.some("func"))?)
        }
        "SimpleImputer" => Box::new(impute::Imputer::read(node)?),
        "MissingIndicator" => Box::new(impute::Indicator::read(node)?),
        "OneHotEncoder" => Box::new(encode::OneHot::read(node)?),
        "OrdinalEncoder" => Box::new(encode::Ordinal::read(node)?),
        "TargetEncoder" => Box::new(encode::Target::read(node)?),
        "PCA" | "TruncatedSVD" | "IncrementalPCA" => Box::new(project::Components::read(node)?),
        "SelectKBest"
        | "SelectPercentile"
        | "SelectFpr"
        | "SelectFwe"
        | "VarianceThreshold"
        | "RFE"
        | "RFECV"
        | "SequentialFeatureSelector" => Box::new(project::Selected::read(node)?),
        "PolynomialFeatures" => Box::new(project::Products::read(node)?),
        _ => return Err(unknown(node)),
    })
}

fn unknown(node: Ref<'_>) -> Fault {
    let class = match node.full_class() {
        full if full.starts_with("sklearn.") => node.class().to_owned(),
        full => full.to_owned(),
    };
    Fault::Unsupported(format!(
        "the model holds a `{class}`, which the native engine does not know; docs/models.md lists what it knows"
    ))
}
