//! Models that answer: load an MLflow model folder, predict without Python, route and swap versions. Only this
//! crate knows model file formats and runtimes. It knows nothing of HTTP and nothing of the registry.
