//! Finding out what lies at a path, and which engine answers for it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::choice::{self, Choice};
use crate::error::Fault;
use crate::mlmodel::{Flavor, MlModel};
use crate::predictor::Predictor;
use crate::python::PythonModel;
use crate::{
    ColumnSpec, LoadError, Model, OnnxRuntime, PythonPermission, Signature, catboost, file, lightgbm, onnx,
    sklearn, xgboost,
};

/// What the names of model files end with.
const ENDINGS: [&str; 12] = [
    "bst", "cb", "cbm", "joblib", "json", "lgb", "onnx", "pickle", "pkl", "skops", "txt", "ubj",
];

/// What may answer for models beside the native engine.
#[derive(Debug, Clone)]
pub struct Runtimes {
    /// Python, for what nothing else knows; it executes what models hold.
    pub python: Option<PythonPermission>,
    /// ONNX Runtime; or why there is none, and what to do about that.
    pub onnx: Result<OnnxRuntime, String>,
    /// Which of the two engines for ONNX is wanted.
    pub wish: Wish,
}

/// Which engine answers for ONNX models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// The one that knows the model; if both do, the one that answers its input example sooner.
    Auto,
    /// The native one.
    Native,
    /// ONNX Runtime.
    OnnxRuntime,
}

/// The native engine alone.
impl Default for Runtimes {
    fn default() -> Self {
        Self {
            python: None,
            onnx: Err("only the native engine answers here".into()),
            wish: Wish::Native,
        }
    }
}

impl Model {
    /// Loads an MLflow model folder, a plain model file or a folder with nothing but one, for the native engine, and
    /// warms it up on its input example.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        Self::load_with(path, &Runtimes::default())
    }

    /// As [`Model::load`], with what else may answer.
    pub fn load_with(path: &Path, runtimes: &Runtimes) -> Result<Self, LoadError> {
        let loaded = Source::find(path).and_then(|source| source.load(runtimes));
        let Err(LoadError::Unsupported { what }) = loaded else {
            return loaded;
        };
        if !MlModel::is_in(path) || !MlModel::load(path)?.is_python() {
            return Err(LoadError::Unsupported { what });
        }
        match &runtimes.python {
            Some(permission) => load_python(path, permission),
            None => Err(LoadError::Unsupported {
                what: format!(
                    "{what}; with `--allow-python` a Python process answers for it, which executes what the model holds"
                ),
            }),
        }
    }

    /// Reads a plain model file that lies in memory, for the native engine.
    pub fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let predictor = read_plain(bytes, None).map_err(|fault| fault.in_file(Path::new("memory")))?;
        let signature = predictor.inputs().signature();
        Ok(Self::of(predictor, signature, None, bytes.len(), unpacked(bytes)))
    }
}

/// What is to be loaded.
struct Source {
    /// The file that holds the model.
    file: PathBuf,
    /// What MLflow saved around it.
    saved: Option<Saved>,
}

struct Saved {
    folder: PathBuf,
    mlmodel: MlModel,
    flavor: Flavor,
}

impl Source {
    fn find(path: &Path) -> Result<Self, LoadError> {
        let plain = |file: &Path| Self {
            file: file.to_owned(),
            saved: None,
        };
        if path.is_file() {
            return Ok(plain(path));
        }
        if let Some(file) = only_file_of(path)? {
            return Ok(plain(&file));
        }
        let mlmodel = MlModel::load(path)?;
        let flavor = mlmodel.flavor()?;
        if matches!(flavor, Flavor::Xgboost { .. }) && mlmodel.params(path)?.is_some() {
            return Err(LoadError::Unsupported {
                what:
                    "the model's signature has params, which XGBoost answers by; the native engine knows none"
                        .into(),
            });
        }
        Ok(Self {
            file: path.join(flavor.file()),
            saved: Some(Saved {
                folder: path.to_owned(),
                mlmodel,
                flavor,
            }),
        })
    }

    fn load(&self, runtimes: &Runtimes) -> Result<Model, LoadError> {
        if runtimes.wish == Wish::Native || !self.is_onnx()? {
            return self.native();
        }
        let runtime = runtimes.onnx.as_ref();
        if runtimes.wish == Wish::OnnxRuntime {
            let runtime = runtime.map_err(|missing| LoadError::Unsupported {
                what: format!("ONNX Runtime is to answer for the model, and {missing}"),
            })?;
            return Ok(self
                .by_runtime(runtime)?
                .because(Choice::of("onnxruntime", "it was asked for")));
        }
        match (self.native(), runtime) {
            (Ok(native), Ok(runtime)) => Ok(choice::faster(native, runtime, || self.by_runtime(runtime))),
            (Ok(native), Err(missing)) => Ok(native.because(Choice::of("native", missing))),
            (Err(LoadError::Unsupported { what }), Err(missing)) => Err(LoadError::Unsupported {
                what: format!("{what}; ONNX Runtime may know it, but {missing}"),
            }),
            (Err(error @ LoadError::Read { .. }), _) | (Err(error), Err(_)) => Err(error),
            (Err(error), Ok(runtime)) => match self.by_runtime(runtime) {
                Ok(model) => Ok(model.because(Choice::of(
                    "onnxruntime",
                    &format!("the native engine does not answer for it: {error}"),
                ))),
                Err(other) => Err(both(error, &other)),
            },
        }
    }

    fn is_onnx(&self) -> Result<bool, LoadError> {
        if let Some(saved) = &self.saved {
            return Ok(matches!(saved.flavor, Flavor::Onnx { .. }));
        }
        let failed = |source| LoadError::Read {
            path: self.file.clone(),
            source,
        };
        let mut head = Vec::new();
        let file = File::open(&self.file).map_err(failed)?;
        file.take(16).read_to_end(&mut head).map_err(failed)?;
        Ok(onnx::is(&head))
    }

    fn native(&self) -> Result<Model, LoadError> {
        let bytes = file::read(&self.file)?;
        let predictor = match &self.saved {
            Some(saved) => read_flavor(&saved.flavor, &bytes, &saved.folder),
            None => read_plain(&bytes, self.file.parent()),
        };
        let predictor = predictor.map_err(|fault| fault.in_file(&self.file))?;
        self.complete(predictor, bytes.len(), unpacked(&bytes))
    }

    fn by_runtime(&self, runtime: &OnnxRuntime) -> Result<Model, LoadError> {
        let bytes = file::read(&self.file)?;
        let network = onnx::open(&self.file, &bytes, runtime).map_err(|fault| fault.in_file(&self.file))?;
        self.complete(Box::new(network), bytes.len(), bytes.len() as u64)
    }

    /// What was read, with its signature, once it has answered its own input example.
    fn complete(
        &self,
        mut predictor: Box<dyn Predictor>,
        size: usize,
        unpacked: u64,
    ) -> Result<Model, LoadError> {
        let is_open = predictor.is_open();
        let Some(Saved { folder, mlmodel, .. }) = &self.saved else {
            let signature = match is_open {
                true => Signature::open(),
                false => predictor.inputs().signature(),
            };
            return Ok(Model::of(predictor, signature, None, size, unpacked));
        };
        let damaged = |what| LoadError::Damaged {
            path: self.file.clone(),
            what,
        };
        let inputs = predictor.inputs();
        let signature = if is_open {
            // A signature may leave open what the graph leaves open.
            let saved = mlmodel.signature(folder, 0).ok().flatten();
            saved.map_or_else(Signature::open, |columns| Signature::new(numbered(columns)))
        } else {
            match mlmodel.signature(folder, inputs.columns.len())? {
                Some(saved) => inputs.check(saved).map_err(damaged)?,
                None => inputs.signature(),
            }
        };
        let signature = signature.of_tensors(mlmodel.tensors());
        predictor.bind(&signature);
        predictor.inputs().check_types(&signature)?;
        let input_example = mlmodel.input_example(folder, &signature)?;
        let params = mlmodel.params(folder)?;
        let model = Model::of(predictor, signature, input_example, size, unpacked).taking(params);
        if let Some(example) = model.input_example() {
            model.predict(&example).map_err(|error| {
                damaged(format!("the model cannot answer its own input example: {error}"))
            })?;
        }
        Ok(model)
    }
}

/// Neither engine answers for a model.
fn both(native: LoadError, other: &LoadError) -> LoadError {
    let other = match other {
        LoadError::Damaged { what, .. } | LoadError::Unsupported { what } => what.clone(),
        read => read.to_string(),
    };
    let told = |what: String| format!("{what}; and {other}");
    match native {
        LoadError::Damaged { path, what } => LoadError::Damaged {
            path,
            what: told(what),
        },
        LoadError::Unsupported { what } => LoadError::Unsupported { what: told(what) },
        read => read,
    }
}

fn load_python(folder: &Path, permission: &PythonPermission) -> Result<Model, LoadError> {
    // The processes have a working folder of their own.
    let folder = &std::path::absolute(folder).map_err(|source| LoadError::Read {
        path: folder.to_owned(),
        source,
    })?;
    let mlmodel = MlModel::load(folder)?;
    let params = mlmodel.params(folder)?;
    let tensors = mlmodel.tensors();
    // Signatures that are not understood here (lists, objects, open shapes) are left to MLflow to check.
    let saved = mlmodel.signature(folder, 0).ok().flatten();
    let holds_anything = tensors.iter().any(|tensor| tensor.dtype == "object");
    let mut signature = match saved {
        Some(columns) => Signature::new(numbered(columns)).of_tensors(tensors.clone()),
        None => Signature::open(),
    };
    if signature.is_open() || holds_anything || mlmodel.is_hinted() {
        signature = signature.reading_sent();
    }
    let checked = !signature.is_open();
    // Where sizes are open, other protocols than MLflow's send a matrix.
    let tensors = if checked { tensors } else { Vec::new() };
    let mut predictor = PythonModel::start(folder, tensors, checked, permission)?;
    let input_example = match signature.is_open() {
        true => None,
        // An example of another form than rows is for MLflow alone.
        false => mlmodel.input_example(folder, &signature).ok().flatten(),
    };
    if let Some(example) = &input_example {
        let answers = predictor.predict(example).map_err(|error| LoadError::Damaged {
            path: folder.join("MLmodel"),
            what: format!("the model cannot answer its own input example: {error}"),
        })?;
        predictor.learn_outputs(&answers);
    }
    Ok(Model::of(Box::new(predictor), signature, input_example, 0, 0).taking(params))
}

/// The size of a file's content when it is unpacked.
fn unpacked(bytes: &[u8]) -> u64 {
    let size = bytes.len() as u64;
    match bytes {
        [b'P', b'K', ..] => {
            let archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).ok();
            archive
                .and_then(|archive| archive.decompressed_size())
                .map_or(size, |size| u64::try_from(size).unwrap_or(u64::MAX))
        }
        // What zlib and gzip make of numbers is seldom smaller than a fourth.
        [0x78, ..] | [0x1f, 0x8b, ..] => size.saturating_mul(4),
        _ => size,
    }
}

/// Columns without a name are called by their place.
fn numbered(mut columns: Vec<ColumnSpec>) -> Vec<ColumnSpec> {
    for (at, column) in columns.iter_mut().enumerate() {
        if column.name.is_empty() {
            column.name = at.to_string();
        }
    }
    columns
}

fn read_flavor(flavor: &Flavor, bytes: &[u8], folder: &Path) -> Result<Box<dyn Predictor>, Fault> {
    Ok(match flavor {
        Flavor::Catboost { class, .. } => {
            let mut booster = catboost::read(bytes)?;
            booster.answer_as(class)?;
            Box::new(booster)
        }
        Flavor::Lightgbm { .. } if lightgbm::is(bytes) => Box::new(lightgbm::read(bytes)?),
        Flavor::Lightgbm { .. } => sklearn::read(bytes, "predict")?,
        Flavor::Onnx { .. } => Box::new(onnx::read(bytes, Some(folder))?),
        Flavor::Sklearn { method, .. } => sklearn::read(bytes, method)?,
        Flavor::Xgboost { class, .. } => {
            let mut booster = xgboost::read(bytes)?;
            booster.answer_as(class);
            Box::new(booster)
        }
    })
}

/// The model file of a folder that holds nothing else of a model, as KServe hands models over; none in a folder of
/// MLflow's.
fn only_file_of(folder: &Path) -> Result<Option<PathBuf>, LoadError> {
    if MlModel::is_in(folder) || !folder.is_dir() {
        return Ok(None);
    }
    let failed = |source| LoadError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_model = path
            .extension()
            .is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        if is_model && path.is_file() && path.file_name() != Some("requirements.txt".as_ref()) {
            files.push(path);
        }
    }
    files.sort();
    match files.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        several => {
            let names: Vec<String> = several
                .iter()
                .filter_map(|path| Some(format!("`{}`", path.file_name()?.display())))
                .collect();
            Err(LoadError::Unsupported {
                what: format!(
                    "`{}` has no `MLmodel`, and several files that may be the model: name one of {}",
                    folder.display(),
                    names.join(", ")
                ),
            })
        }
    }
}

/// A model file that stands alone: what it is can be seen from how it begins.
fn read_plain(bytes: &[u8], folder: Option<&Path>) -> Result<Box<dyn Predictor>, Fault> {
    if lightgbm::is(bytes) {
        return Ok(Box::new(lightgbm::read(bytes)?));
    }
    if catboost::is(bytes) {
        return Ok(Box::new(catboost::read(bytes)?));
    }
    if xgboost::is(bytes) {
        return Ok(Box::new(xgboost::read(bytes)?));
    }
    if onnx::is(bytes) {
        return Ok(Box::new(onnx::read(bytes, folder)?));
    }
    sklearn::read(bytes, "predict")
}
