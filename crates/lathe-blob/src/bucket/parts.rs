//! Uploads in parts that others send: they get signed URLs, and the object appears once it is completed. Only S3 and
//! its like have this.

use std::time::Duration;

use lathe_types::Millis;
use object_store::MultipartId;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use serde::Deserialize;

use super::{Bucket, remote};
use crate::{ArtifactPath, Error};

/// Where one part may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPart {
    /// From 1.
    pub number: u32,
    /// PUT its bytes there.
    pub url: String,
}

/// An upload that was begun and neither completed nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    pub path: ArtifactPath,
    pub id: String,
    /// When it was begun; none if the store says it in a form that cannot be read.
    pub begun: Option<Millis>,
}

/// Longer listings are not read to their end at once; the next sweep goes on.
const PAGES_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(default)]
    upload: Vec<Upload>,
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: Option<String>,
}

impl Bucket {
    /// Begins an upload in parts; returns its id. None if this kind of store has no such thing.
    pub(crate) async fn begin_parts(&self, path: &ArtifactPath) -> Result<Option<String>, Error> {
        let Some(s3) = &self.inner.opened.s3 else {
            return Ok(None);
        };
        let begun = s3.create_multipart(&self.key(path)?).await;
        Ok(Some(begun.map_err(self.failed("write", path))?))
    }

    /// Where the parts 1 to `count` of an upload may be sent.
    pub(crate) async fn sign_parts(
        &self,
        path: &ArtifactPath,
        id: &str,
        count: u32,
        valid: Duration,
    ) -> Result<Vec<SignedPart>, Error> {
        let mut parts = Vec::new();
        for number in 1..=count {
            let query = [("partNumber", number.to_string()), ("uploadId", id.to_owned())];
            let url = self.sign(reqwest::Method::PUT, path, &query, valid).await?;
            parts.push(SignedPart { number, url });
        }
        Ok(parts)
    }

    /// Completes an upload: parts 1 to n with the tags that they were answered with. The object is there, whole, when
    /// this returns.
    pub(crate) async fn complete_parts(
        &self,
        path: &ArtifactPath,
        id: &str,
        etags: Vec<String>,
    ) -> Result<(), Error> {
        let Some(s3) = &self.inner.opened.s3 else {
            return Ok(());
        };
        let parts = etags
            .into_iter()
            .map(|content_id| PartId { content_id })
            .collect();
        match s3
            .complete_multipart(&self.key(path)?, &MultipartId::from(id), parts)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) => Err(match remote("write", self.url_of(path), path, error) {
                Error::NotFound { path } => Error::Parts {
                    path,
                    what: "is not known: it was completed or given up".into(),
                },
                error => error,
            }),
        }
    }

    /// Gives an upload up; one that is not known is fine.
    pub(crate) async fn abort_parts(&self, path: &ArtifactPath, id: &str) -> Result<(), Error> {
        let Some(s3) = &self.inner.opened.s3 else {
            return Ok(());
        };
        match s3.abort_multipart(&self.key(path)?, &MultipartId::from(id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", path)(error)),
        }
    }

    /// Uploads below the bucket's URL that were begun and neither completed nor given up.
    pub(crate) async fn leftovers(&self) -> Result<Vec<Leftover>, Error> {
        let root = ArtifactPath::default();
        if self.inner.opened.s3.is_none() {
            return Ok(Vec::new());
        }
        let refused = |said: String| Error::Remote {
            doing: "list uploads of",
            url: self.inner.url.clone(),
            reason: crate::Reason::Refused,
            source: Box::new(object_store::Error::Generic {
                store: "S3",
                source: said.into(),
            }),
        };
        let mut found = Vec::new();
        let mut marker: Option<(String, String)> = None;
        for _ in 0..PAGES_MAX {
            let mut query = vec![
                ("uploads", String::new()),
                ("prefix", self.inner.opened.prefix.clone()),
            ];
            if let Some((key, id)) = marker.take() {
                query.extend([("key-marker", key), ("upload-id-marker", id)]);
            }
            let url = self
                .sign_key(
                    reqwest::Method::GET,
                    &root,
                    &Path::default(),
                    &query,
                    Duration::from_secs(60),
                )
                .await?;
            let answer = self
                .inner
                .opened
                .http
                .get(url)
                .timeout(Duration::from_secs(60))
                .send()
                .await;
            let answer = answer.map_err(|error| refused(error.without_url().to_string()))?;
            let status = answer.status();
            let body = answer
                .text()
                .await
                .map_err(|error| refused(error.without_url().to_string()))?;
            if status == reqwest::StatusCode::NOT_IMPLEMENTED {
                tracing::info!(
                    bucket = self.inner.url,
                    "this store does not list unfinished uploads"
                );
                return Ok(found);
            }
            if !status.is_success() {
                return Err(refused(format!(
                    "{status}: {}",
                    body.chars().take(500).collect::<String>()
                )));
            }
            let page: Uploads = quick_xml::de::from_str(&body).map_err(|error| refused(error.to_string()))?;
            found.extend(page.upload.into_iter().filter_map(|upload| {
                let key = Path::parse(&upload.key).ok()?;
                Some(Leftover {
                    path: self.name(&key)?,
                    id: upload.upload_id,
                    begun: upload.initiated.and_then(|at| Millis::parse(&at)),
                })
            }));
            match (
                page.is_truncated,
                page.next_key_marker,
                page.next_upload_id_marker,
            ) {
                (true, Some(key), id) => marker = Some((key, id.unwrap_or_default())),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn sign(
        &self,
        method: reqwest::Method,
        path: &ArtifactPath,
        query: &[(&'static str, String)],
        valid: Duration,
    ) -> Result<String, Error> {
        self.sign_key(method, path, &self.key(path)?, query, valid).await
    }

    async fn sign_key(
        &self,
        method: reqwest::Method,
        path: &ArtifactPath,
        key: &Path,
        query: &[(&'static str, String)],
        valid: Duration,
    ) -> Result<String, Error> {
        let Some(s3) = &self.inner.opened.s3 else {
            return Err(Error::Unsupported {
                what: "this kind of store takes no parts",
            });
        };
        let options = SignedUrlOptions::new().with_query(query.iter().cloned());
        let url = s3.signed_url_opts(method, key, valid, &options).await;
        Ok(url.map_err(self.failed("sign", path))?.into())
    }
}
