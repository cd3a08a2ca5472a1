//! TLS on both sides: what a server shows, and whom a client trusts.

use std::path::{Path, PathBuf};

use lathe_server::connections::Tls;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Options of what answers over TLS.
#[derive(Debug, clap::Args)]
pub struct TlsArgs {
    /// A chain of certificates in PEM: answer over TLS, with `--tls-key`.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the first certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

impl TlsArgs {
    /// What they name, relative to `folder`; none without them.
    pub fn load(&self, folder: &Path) -> anyhow::Result<Option<Tls>> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return Ok(None);
        };
        Ok(Some(Tls::load(&folder.join(certificate), &folder.join(key))?))
    }
}

/// Trusts what the system trusts, or the file that `SSL_CERT_FILE` names: servers and indexes of firms have certificates of
/// their own. Where the system says nothing, what browsers trust.
pub fn trust() -> TlsConfig {
    let certificates = rustls_native_certs::load_native_certs().certs;
    let roots = match certificates.is_empty() {
        true => RootCerts::WebPki,
        false => certificates
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect::<Vec<_>>()
            .into(),
    };
    TlsConfig::builder().root_certs(roots).build()
}
