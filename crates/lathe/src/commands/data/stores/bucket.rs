//! Remotes in object stores: S3 and its like, Google's, Azure's.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt};
use lathe_blob::{ArtifactPath, Bucket, Settings};
use lathe_data::Result;
use lathe_data::remote::{RemoteSettings, Seen, Store};
use tokio::runtime::Runtime;

use super::failed;
use crate::exit::hinted;
use crate::wiring;

/// Up to here a file is sent from memory.
const SMALL_BYTES: u64 = 1 << 20;
/// From here on it may be cheaper to list than to ask for each object.
const ASKED_MAX: usize = 1_000;
/// Objects that one page of a listing holds.
const PAGE: usize = 1_000;
/// Listings at once.
const LISTINGS: usize = 16;

/// Objects below a URL.
pub struct Objects {
    name: String,
    bucket: Bucket,
    runtime: Runtime,
}

impl Objects {
    /// Whether URLs of this kind lead to object stores.
    pub fn knows(scheme: &str) -> bool {
        matches!(
            scheme,
            "s3" | "s3a" | "gs" | "gcs" | "azure" | "az" | "abfs" | "abfss" | "wasb" | "wasbs"
        )
    }

    /// Opens what the settings describe; asks nobody yet.
    pub fn open(settings: &RemoteSettings) -> anyhow::Result<Self> {
        let environment = wiring::blob_settings();
        let translated = match settings.scheme() {
            Some("s3" | "s3a") => s3(settings, environment)?,
            Some("gs" | "gcs") => google(settings, environment),
            _ => azure(settings, environment),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        let bucket = {
            let _inside = runtime.enter();
            Bucket::open(&settings.url, &translated)?
        };
        Ok(Self {
            name: settings.name.clone(),
            bucket,
            runtime,
        })
    }

    fn path(&self, key: &str) -> Result<ArtifactPath> {
        ArtifactPath::parse(key).map_err(|error| failed(&self.name, error))
    }

    fn failed(&self) -> impl Fn(lathe_blob::Error) -> lathe_data::Error + '_ {
        |error| failed(&self.name, error)
    }

    /// Objects below each of the prefixes.
    fn list_below(&self, prefixes: Vec<ArtifactPath>) -> Result<HashSet<String>> {
        let listings = futures_util::stream::iter(prefixes)
            .map(|prefix| {
                let listing = self.bucket.list_all(&prefix, None);
                listing
                    .map_ok(|(path, _)| path.as_str().to_owned())
                    .try_collect::<Vec<_>>()
            })
            .buffer_unordered(LISTINGS)
            .try_fold(HashSet::new(), |mut all, some| async move {
                all.extend(some);
                Ok(all)
            });
        self.runtime.block_on(listings).map_err(self.failed())
    }

    /// All objects with today's hashes, if listing them takes fewer requests than asking for so many.
    fn list_objects(&self, asked: usize) -> Result<Option<HashSet<String>>> {
        // Hashes are spread evenly: one of the 256 folders tells how full the others are.
        let first = self.list_below(vec![self.path("files/md5/00")?])?;
        if asked < (first.len() * 256).div_ceil(PAGE).max(256) {
            return Ok(None);
        }
        let folders = (1..256).map(|folder| self.path(&format!("files/md5/{folder:02x}")));
        let mut all = self.list_below(folders.collect::<Result<_>>()?)?;
        all.extend(first);
        Ok(Some(all))
    }
}

impl Store for Objects {
    fn exist(&self, keys: &[String], at_once: usize) -> Result<Vec<bool>> {
        if ASKED_MAX < keys.len()
            && keys.iter().all(|key| key.starts_with("files/md5/"))
            && let Some(all) = self.list_objects(keys.len())?
        {
            return Ok(keys.iter().map(|key| all.contains(key)).collect());
        }
        let paths = keys.iter().map(|key| self.path(key)).collect::<Result<_>>()?;
        let asked = self.bucket.exist(paths, at_once);
        self.runtime.block_on(asked).map_err(self.failed())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let mut found: Vec<String> = self.list_below(vec![self.path(prefix)?])?.into_iter().collect();
        found.sort();
        Ok(found)
    }

    fn put(&self, from: &Path, key: &str) -> Result<()> {
        let broken = |error: std::io::Error| failed(&self.name, error);
        let path = self.path(key)?;
        let size = std::fs::metadata(from).map_err(broken)?.len();
        let sent = if size <= SMALL_BYTES {
            let bytes = std::fs::read(from).map_err(broken)?;
            self.runtime
                .block_on(self.bucket.put(&path, bytes.as_slice(), Some(bytes.len() as u64)))
        } else {
            let file = File::open(from).map_err(broken)?;
            let file = tokio::fs::File::from_std(file);
            self.runtime.block_on(self.bucket.put(&path, file, Some(size)))
        };
        sent.map(drop).map_err(self.failed())
    }

    fn get(&self, key: &str, to: &Path) -> Result<bool> {
        let path = self.path(key)?;
        self.runtime.block_on(async {
            let mut opened = match self.bucket.get(&path, None).await {
                Ok(opened) => opened,
                Err(lathe_blob::Error::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(failed(&self.name, error)),
            };
            let broken = |error: std::io::Error| failed(&self.name, error);
            let mut file = File::create(to).map_err(broken)?;
            while let Some(chunk) = opened.chunks.try_next().await.map_err(broken)? {
                file.write_all(&chunk).map_err(broken)?;
            }
            Ok(true)
        })
    }

    fn look(&self, key: &str) -> Result<Option<Seen>> {
        let path = self.path(key)?;
        match self.runtime.block_on(self.bucket.head(&path)) {
            Ok(meta) => Ok(Some(Seen {
                size: Some(meta.size),
                mark: meta.etag.map(|etag| ("etag", etag.trim_matches('"').to_owned())),
            })),
            Err(lathe_blob::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed()(error)),
        }
    }

    fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        self.runtime
            .block_on(self.bucket.delete(&path))
            .map_err(self.failed())
    }
}

fn is_true(settings: &RemoteSettings, key: &str) -> bool {
    let value = settings.find(key).unwrap_or_default().to_ascii_lowercase();
    matches!(value.as_str(), "true" | "1" | "yes" | "on")
}

fn is_false(settings: &RemoteSettings, key: &str) -> bool {
    let value = settings.find(key).unwrap_or_default().to_ascii_lowercase();
    matches!(value.as_str(), "false" | "0" | "no" | "off")
}

/// The environment with what is said in the settings in its place. `names` pairs DVC's settings with variables.
fn overlaid(settings: &RemoteSettings, mut environment: Settings, names: &[(&str, &str)]) -> Settings {
    for (key, variable) in names {
        if let Some(value) = settings.find(key) {
            environment = environment.with(variable, value);
        }
    }
    environment
}

fn s3(settings: &RemoteSettings, environment: Settings) -> anyhow::Result<Settings> {
    // What these say cannot be said to the store, and without them others could read what they must not.
    let unsupported = [
        "acl",
        "grant_read",
        "grant_read_acp",
        "grant_full_control",
        "grant_write_acp",
    ];
    if let Some(key) = unsupported.iter().find(|key| settings.find(key).is_some()) {
        return Err(hinted(
            format!("remote `{}` sets `{key}`, which is not supported", settings.name),
            "set it as the bucket's default, or push with `dvc`",
        ));
    }
    // Whose artifacts these variables are for is another matter.
    let mut environment = environment
        .without("MLFLOW_S3_ENDPOINT_URL")
        .without("MLFLOW_S3_IGNORE_TLS");
    let names_own = settings.find("access_key_id").is_some() || settings.find("profile").is_some();
    if names_own {
        for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            environment = environment.without(variable);
        }
    }
    let names = [
        ("endpointurl", "AWS_ENDPOINT_URL_S3"),
        ("region", "AWS_REGION"),
        ("profile", "AWS_PROFILE"),
        ("credentialpath", "AWS_SHARED_CREDENTIALS_FILE"),
        ("configpath", "AWS_CONFIG_FILE"),
        ("access_key_id", "AWS_ACCESS_KEY_ID"),
        ("secret_access_key", "AWS_SECRET_ACCESS_KEY"),
        ("session_token", "AWS_SESSION_TOKEN"),
        ("sse", "AWS_SERVER_SIDE_ENCRYPTION"),
        ("sse_kms_key_id", "AWS_SSE_KMS_KEY_ID"),
        ("sse_customer_key", "AWS_SSE_CUSTOMER_KEY_BASE64"),
    ];
    environment = overlaid(settings, environment, &names);
    if settings.find("sse_customer_key").is_some() {
        environment = environment.with("AWS_SERVER_SIDE_ENCRYPTION", "sse-c");
    }
    if is_true(settings, "allow_anonymous_login") {
        environment = environment.with("AWS_SKIP_SIGNATURE", "true");
    }
    if is_false(settings, "ssl_verify") {
        environment = environment.with("MLFLOW_S3_IGNORE_TLS", "true");
    } else if let Some(bundle) = settings.find("ssl_verify").filter(|value| value.contains('/')) {
        environment = environment.with("AWS_CA_BUNDLE", bundle);
    }
    Ok(environment)
}

fn google(settings: &RemoteSettings, environment: Settings) -> Settings {
    let names = [
        ("credentialpath", "GOOGLE_APPLICATION_CREDENTIALS"),
        ("endpointurl", "GOOGLE_BASE_URL"),
    ];
    let environment = overlaid(settings, environment, &names);
    if is_true(settings, "allow_anonymous_login") {
        return environment.with("GOOGLE_SKIP_SIGNATURE", "true");
    }
    environment
}

fn azure(settings: &RemoteSettings, environment: Settings) -> Settings {
    let names = [
        ("connection_string", "AZURE_STORAGE_CONNECTION_STRING"),
        ("account_name", "AZURE_STORAGE_ACCOUNT"),
        ("account_key", "AZURE_STORAGE_ACCOUNT_KEY"),
        ("sas_token", "AZURE_STORAGE_SAS_TOKEN"),
        ("tenant_id", "AZURE_STORAGE_TENANT_ID"),
        ("client_id", "AZURE_STORAGE_CLIENT_ID"),
        ("client_secret", "AZURE_STORAGE_CLIENT_SECRET"),
    ];
    let environment = overlaid(settings, environment, &names);
    if is_true(settings, "allow_anonymous_login") {
        return environment.with("AZURE_SKIP_SIGNATURE", "true");
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(url: &str, settings: &[(&str, &str)]) -> RemoteSettings {
        RemoteSettings {
            name: "store".into(),
            url: url.into(),
            settings: settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn keys_of_the_settings_come_before_those_of_the_environment() {
        let environment = Settings::default()
            .with("AWS_ACCESS_KEY_ID", "outer")
            .with("AWS_SESSION_TOKEN", "outer")
            .with("MLFLOW_S3_ENDPOINT_URL", "http://artifacts");
        let own = remote(
            "s3://b/p",
            &[
                ("access_key_id", "own"),
                ("secret_access_key", "hush"),
                ("endpointurl", "http://localhost:9000"),
            ],
        );
        let expected = Settings::default()
            .with("AWS_ACCESS_KEY_ID", "own")
            .with("AWS_SECRET_ACCESS_KEY", "hush")
            .with("AWS_ENDPOINT_URL_S3", "http://localhost:9000");
        assert!(s3(&own, environment.clone()).unwrap() == expected);
        // Who names a profile means its keys.
        let profile = s3(&remote("s3://b", &[("profile", "work")]), environment).unwrap();
        assert!(profile == Settings::default().with("AWS_PROFILE", "work"));
        let told = s3(&remote("s3://b", &[("acl", "public-read")]), Settings::default()).unwrap_err();
        assert!(told.to_string().contains("`acl`"));
    }

    #[test]
    fn each_kind_of_store_has_its_own_names() {
        let found = azure(
            &remote(
                "azure://box",
                &[("account_name", "me"), ("allow_anonymous_login", "true")],
            ),
            Settings::default(),
        );
        let expected = Settings::default()
            .with("AZURE_STORAGE_ACCOUNT", "me")
            .with("AZURE_SKIP_SIGNATURE", "true");
        assert!(found == expected);
        let found = google(
            &remote("gs://b", &[("credentialpath", "/k.json")]),
            Settings::default(),
        );
        assert!(found == Settings::default().with("GOOGLE_APPLICATION_CREDENTIALS", "/k.json"));
    }
}
