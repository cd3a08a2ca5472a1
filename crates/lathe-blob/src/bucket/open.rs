//! From a URL and settings to an object store: whose it is, where it is, with which credentials.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::signer::Signer;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig};

use crate::{Error, Settings};

/// A connection that is not made by then is tried anew.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A store that says nothing for so long is away. There is no limit on a whole transfer: files are large.
const SILENCE_MAX: Duration = Duration::from_secs(60);
const RETRIES_MAX: usize = 5;
const RETRY_FOR: Duration = Duration::from_secs(60);

/// An object store with what only some kinds of it can do.
pub(super) struct Opened {
    pub store: Arc<dyn ObjectStore>,
    /// What only S3 and its like have: parts that somebody else uploads.
    pub s3: Option<Arc<AmazonS3>>,
    /// Who signs URLs, where it can.
    pub signer: Option<Arc<dyn Signer>>,
    /// The keys' common beginning, without slashes at its ends.
    pub prefix: String,
    pub http: reqwest::Client,
}

/// What a URL names.
struct Named<'a> {
    scheme: &'a str,
    /// Between `://` and the next slash.
    host: &'a str,
    path: &'a str,
}

pub(super) fn open(url: &str, settings: &Settings) -> Result<Opened, Error> {
    // Only one of several providers may be there to choose from; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let refuse = |what: String| Error::Location {
        url: url.to_owned(),
        what,
    };
    let failed = |error: object_store::Error| refuse(error.to_string());
    let (scheme, rest) = url
        .split_once("://")
        .ok_or_else(|| refuse("write it as `s3://bucket/prefix`".into()))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let named = Named { scheme, host, path };
    if scheme != "file" && host.is_empty() {
        return Err(refuse(format!(
            "it names no bucket; write it as `{scheme}://bucket/prefix`"
        )));
    }
    let client = client_options(settings).map_err(refuse)?;
    let mut opened = match named.scheme {
        "s3" | "s3a" => s3(&named, settings, client).map_err(refuse)?,
        "gs" | "gcs" => {
            let store = Arc::new(gcs(&named, settings, client).build().map_err(failed)?);
            opened(store.clone(), None, Some(store))
        }
        "azure" | "az" | "abfs" | "abfss" | "wasb" | "wasbs" => {
            let store = Arc::new(azure(&named, settings, client).build().map_err(failed)?);
            opened(store.clone(), None, Some(store))
        }
        "file" => {
            let folder = std::path::Path::new("/").join(named.path.trim_start_matches('/'));
            std::fs::create_dir_all(&folder).map_err(|error| refuse(error.to_string()))?;
            let store = LocalFileSystem::new_with_prefix(&folder).map_err(failed)?;
            opened(Arc::new(store.with_fsync(true)), None, None)
        }
        other => {
            return Err(refuse(format!(
                "stores of the kind `{other}` are not known; there are `s3://`, `gs://`, `azure://`, `abfs://`, \
                 `wasbs://` and `file://`"
            )));
        }
    };
    if named.scheme != "file" {
        opened.prefix = named.path.trim_matches('/').to_owned();
    }
    Ok(opened)
}

fn opened(store: Arc<dyn ObjectStore>, s3: Option<Arc<AmazonS3>>, signer: Option<Arc<dyn Signer>>) -> Opened {
    Opened {
        store,
        s3,
        signer,
        prefix: String::new(),
        http: reqwest::Client::new(),
    }
}

fn client_options(settings: &Settings) -> Result<ClientOptions, String> {
    let mut options = ClientOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_read_timeout(SILENCE_MAX)
        .with_timeout_disabled()
        .with_allow_invalid_certificates(settings.is_on("MLFLOW_S3_IGNORE_TLS"));
    if let Some(bundle) = settings.get("AWS_CA_BUNDLE") {
        let pem =
            std::fs::read(bundle).map_err(|error| format!("`AWS_CA_BUNDLE` cannot be read: {error}"))?;
        for certificate in Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            max_backoff: Duration::from_secs(5),
            ..BackoffConfig::default()
        },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_FOR,
    }
}

fn s3(named: &Named<'_>, settings: &Settings, client: ClientOptions) -> Result<Opened, String> {
    let profile = settings.aws_profile();
    let endpoint = settings
        .first(&[
            "MLFLOW_S3_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
            "AWS_ENDPOINT_URL",
        ])
        .or(profile.get("endpoint_url"));
    let region = settings
        .first(&["AWS_REGION", "AWS_DEFAULT_REGION"])
        .or(profile.get("region"))
        .unwrap_or("us-east-1");
    let mut builder = AmazonS3Builder::new();
    // Web identities, containers, encryption with a key, requester pays…: as the library names them.
    for (name, value) in settings.starting_with("AWS_") {
        let key = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>();
        if let Ok(key) = key
            && !name.starts_with("AWS_ENDPOINT")
        {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder
        .with_bucket_name(named.host)
        .with_region(region)
        .with_retry(retry());
    let from_profile = ["aws_access_key_id", "aws_secret_access_key"].map(|key| profile.get(key));
    let mut known = settings.get("AWS_ACCESS_KEY_ID").is_some();
    if !known && let [Some(id), Some(secret)] = from_profile {
        known = true;
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
        if let Some(token) = profile.get("aws_session_token") {
            builder = builder.with_token(token);
        }
    }
    let elsewhere = [
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    known |= settings.first(&elsewhere).is_some() || settings.is_on("AWS_SKIP_SIGNATURE");
    // Away from Amazon no machine hands out credentials; asking there would only take long.
    if !known && (endpoint.is_some() || settings.is_on("AWS_EC2_METADATA_DISABLED")) {
        return Err(
            "no credentials were found: set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or `AWS_PROFILE`, or \
             `AWS_SKIP_SIGNATURE=true` for a public bucket"
                .into(),
        );
    }
    let style = settings.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE");
    let virtual_host = match style {
        Some("virtual") => true,
        Some("path") => false,
        // A dot would be one label too many for the certificate.
        _ => endpoint.is_none() && !named.host.contains('.'),
    };
    if let Some(endpoint) = endpoint {
        let endpoint = endpoint.trim_end_matches('/');
        let endpoint = match (virtual_host, endpoint.split_once("://")) {
            (true, Some((scheme, host))) => format!("{scheme}://{}.{host}", named.host),
            _ => endpoint.to_owned(),
        };
        builder = builder
            .with_allow_http(endpoint.starts_with("http://"))
            .with_endpoint(endpoint);
    }
    let client = match endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
        true => client.with_allow_http(true),
        false => client,
    };
    let store = builder
        .with_virtual_hosted_style_request(virtual_host)
        .with_client_options(client)
        .build()
        .map_err(|error| error.to_string())?;
    let store = Arc::new(store);
    Ok(opened(store.clone(), Some(store.clone()), Some(store)))
}

fn gcs(named: &Named<'_>, settings: &Settings, client: ClientOptions) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::new();
    for (name, value) in settings.starting_with("GOOGLE_") {
        if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(file) = settings.get("GOOGLE_APPLICATION_CREDENTIALS") {
        builder = builder.with_application_credentials(file);
    }
    builder
        .with_bucket_name(named.host)
        .with_retry(retry())
        .with_client_options(client)
}

/// `azure://container/path`, or `abfss://` and `wasbs://` with `container@account.…`.
fn azure(named: &Named<'_>, settings: &Settings, client: ClientOptions) -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::new();
    for (name, value) in settings.starting_with("AZURE_") {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(account) = settings.get("AZURE_STORAGE_ACCOUNT") {
        builder = builder.with_account(account);
    }
    if let Some(key) = settings.get("AZURE_STORAGE_KEY") {
        builder = builder.with_access_key(key);
    }
    let connection = settings
        .get("AZURE_STORAGE_CONNECTION_STRING")
        .unwrap_or_default();
    for (key, value) in connection.split(';').filter_map(|pair| pair.split_once('=')) {
        builder = match key {
            "AccountName" => builder.with_account(value),
            "AccountKey" => builder.with_access_key(value),
            "SharedAccessSignature" => builder.with_config(AzureConfigKey::SasKey, value),
            "BlobEndpoint" => builder
                .with_allow_http(value.starts_with("http://"))
                .with_endpoint(value.to_owned()),
            _ => builder,
        };
    }
    let (container, account) = match named.host.split_once('@') {
        Some((container, host)) => (container, host.split('.').next()),
        None => (named.host, None),
    };
    if let Some(account) = account {
        builder = builder.with_account(account);
    }
    builder
        .with_container_name(container)
        .with_retry(retry())
        .with_client_options(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, settings: &Settings) -> String {
        match open(url, settings) {
            Ok(_) => panic!("`{url}` was opened"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_url_that_names_no_store_says_what_would() {
        let none = Settings::default();
        for (url, told) in [
            ("bucket/prefix", "s3://bucket/prefix"),
            ("s3:///prefix", "names no bucket"),
            ("ftp://host/prefix", "`ftp` are not known"),
        ] {
            assert!(refused(url, &none).contains(told), "{}", refused(url, &none));
        }
        let away_from_amazon = none.with("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9");
        assert!(refused("s3://bucket", &away_from_amazon).contains("AWS_ACCESS_KEY_ID"));
    }

    #[tokio::test]
    async fn signed_urls_show_where_a_bucket_lies() {
        let settings = Settings::default()
            .with("AWS_ACCESS_KEY_ID", "A")
            .with("AWS_SECRET_ACCESS_KEY", "B")
            .with("AWS_REGION", "eu-west-1");
        for (settings, begins) in [
            (settings.clone(), "https://data.s3.eu-west-1.amazonaws.com/x?"),
            (
                settings
                    .clone()
                    .with("AWS_ENDPOINT_URL", "http://localhost:9000/"),
                "http://localhost:9000/data/x?",
            ),
            (
                settings
                    .clone()
                    .with("AWS_ENDPOINT_URL", "http://localhost:1")
                    .with("MLFLOW_S3_ENDPOINT_URL", "http://localhost:2"),
                "http://localhost:2/data/x?",
            ),
            (
                settings
                    .with("AWS_ENDPOINT_URL", "https://s3.example.org")
                    .with("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "virtual"),
                "https://data.s3.example.org/x?",
            ),
        ] {
            let opened = open("s3://data/a/prefix/", &settings).unwrap();
            assert_eq!(opened.prefix, "a/prefix");
            let signed = opened
                .signer
                .unwrap()
                .signed_url(reqwest::Method::GET, &"x".into(), Duration::from_secs(60))
                .await
                .unwrap();
            assert!(signed.as_str().starts_with(begins), "{signed}");
        }
    }
}
