//! The operators of `ai.onnx.ml`, as onnxruntime computes them.

mod encode;
mod linear;
mod scale;
pub(super) mod scores;
mod svm;
mod trees;
mod trees_read;

use super::kernel::Kernel;
use super::message::Node;

/// What an operator does; none if it is not known.
pub(super) fn build(node: &Node) -> Result<Option<Kernel>, String> {
    Ok(Some(match node.operator.as_str() {
        "TreeEnsembleRegressor" | "TreeEnsembleClassifier" | "TreeEnsemble" => trees::build(node)?,
        "LinearRegressor" => linear::regressor(node)?,
        "LinearClassifier" => linear::classifier(node)?,
        "SVMRegressor" => svm::regressor(node)?,
        "SVMClassifier" => svm::classifier(node)?,
        "Scaler" => scale::scaler(node),
        "Normalizer" => scale::normalizer(node)?,
        "Imputer" => scale::imputer(node)?,
        "Binarizer" => scale::binarizer(node),
        "ArrayFeatureExtractor" => scale::extractor(),
        "FeatureVectorizer" => scale::vectorizer(),
        "OneHotEncoder" => encode::one_hot(node),
        "LabelEncoder" => encode::labels(node)?,
        "CategoryMapper" => encode::categories(node)?,
        "ZipMap" => encode::zip_map(node)?,
        _ => return Ok(None),
    }))
}
