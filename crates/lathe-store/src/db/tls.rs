//! TLS to PostgreSQL, with the meaning that libpq gives its parameters (PostgreSQL's manual, chapter "libpq", "SSL
//! Support").

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::location::{Roots, SslMode, Tls};
use crate::{Error, Result};

/// Reads the certificates anew for each connection, so that renewed ones are taken up.
pub(super) fn connector(tls: &Tls) -> Result<MakeRustlsConnect> {
    let provider = Arc::new(ring::default_provider());
    let verifier = verifier(tls, &provider)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| wrong("sslmode", source))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates("sslcert", certificate)?;
            let key =
                PrivateKeyDer::from_pem_file(key).map_err(|source| unreadable("sslkey", key, source))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|source| wrong("sslcert", source))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    let lenient = |chain| {
        Arc::new(Lenient {
            provider: provider.clone(),
            chain,
        })
    };
    let verifies_name = match tls.mode {
        SslMode::VerifyFull => true,
        SslMode::VerifyCa => false,
        // Who names the roots wants them asked, says libpq.
        SslMode::Require if tls.roots.is_some() => false,
        SslMode::Disable | SslMode::Prefer | SslMode::Require => return Ok(lenient(None)),
    };
    let roots = Arc::new(roots(tls.roots.as_ref())?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|source| wrong("sslrootcert", source))?;
    Ok(match verifies_name {
        true => verifier,
        false => lenient(Some(verifier)),
    })
}

fn roots(wanted: Option<&Roots>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match wanted {
        Some(Roots::File(path)) => {
            for certificate in certificates("sslrootcert", path)? {
                roots
                    .add(certificate)
                    .map_err(|source| wrong("sslrootcert", source))?;
            }
        }
        Some(Roots::System) | None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    match roots.is_empty() {
        true => Err(wrong(
            "sslrootcert",
            "there is no certificate to verify the server with",
        )),
        false => Ok(roots),
    }
}

fn certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<_>, pem::Error> { CertificateDer::pem_file_iter(path)?.collect() };
    match read() {
        Ok(found) if found.is_empty() => {
            Err(unreadable(parameter, path, "it holds no certificate in PEM form"))
        }
        Ok(found) => Ok(found),
        Err(source) => Err(unreadable(parameter, path, source)),
    }
}

fn unreadable(parameter: &str, path: &Path, why: impl std::fmt::Display) -> Error {
    wrong(parameter, format!("cannot read {}: {why}", path.display()))
}

fn wrong(parameter: &str, why: impl std::fmt::Display) -> Error {
    Error::Invalid {
        message: format!("`{parameter}` of the PostgreSQL database's URL: {why}"),
    }
}

/// Takes a server under whatever name. With a `chain` its certificate must lead to a known root; without, whoever answers
/// is taken, which is of no help against somebody between, as libpq's `require` is not.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is looked at last: where it is what does not fit, all else does.
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
