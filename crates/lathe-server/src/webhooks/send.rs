//! One request to one receiver: signed, bounded in time and size, to no address that may not be called.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use lathe_types::Millis;
use sha2::Sha256;
use tokio::sync::oneshot;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::address::WebhookRules;

const TIMEOUT: Duration = Duration::from_secs(30);
/// As much of an answer is read and shown.
const ANSWER_BYTES_MAX: u64 = 16 << 10;

/// Sends requests to receivers. Cheap to clone.
#[derive(Clone)]
pub struct Sender {
    agent: ureq::Agent,
    /// Which addresses may be called.
    pub rules: Arc<WebhookRules>,
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// Where to.
    pub url: String,
    /// Names the delivery.
    pub delivery_id: String,
    /// Signs it.
    pub secret: Option<String>,
    /// JSON.
    pub body: String,
}

/// What a receiver answered.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the receiver asks to be left alone, in seconds.
    pub retry_after_s: Option<u64>,
    /// The beginning of the answer.
    pub text: String,
}

impl Sender {
    /// A sender that keeps the rules.
    pub fn new(rules: WebhookRules) -> Self {
        let rules = Arc::new(rules);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // An answer that sends us elsewhere would lead around the check.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy would be the address that is checked, instead of the receiver's.
            .proxy(None)
            .max_idle_connections(0)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("lathe/", env!("CARGO_PKG_VERSION")))
            .build();
        let resolver = Checked {
            rules: rules.clone(),
            inner: DefaultResolver::default(),
        };
        Self {
            agent: ureq::Agent::with_parts(config, DefaultConnector::default(), resolver),
            rules,
        }
    }

    /// Sends a message and waits for the answer. In a thread that nobody waits for when the server stops.
    pub async fn send(&self, message: Message, now: Millis) -> Result<Answer, String> {
        let (done, answer) = oneshot::channel();
        let sender = self.clone();
        let thread = std::thread::Builder::new().name("webhook".into());
        let started = thread.spawn(move || {
            // A caller that left needs no answer.
            let _ = done.send(sender.send_now(&message, now));
        });
        started.map_err(|error| error.to_string())?;
        answer
            .await
            .unwrap_or_else(|_| Err("the attempt broke off".into()))
    }

    fn send_now(&self, message: &Message, now: Millis) -> Result<Answer, String> {
        // The rules may have become stricter since the webhook was registered.
        self.rules
            .parse(&message.url)
            .map_err(|error| error.to_string())?;
        let timestamp = (now.0 / 1_000).to_string();
        let mut request = self
            .agent
            .post(&message.url)
            .header("content-type", "application/json")
            .header("x-mlflow-delivery-id", &message.delivery_id)
            .header("x-mlflow-timestamp", &timestamp);
        if let Some(secret) = &message.secret {
            let signed = format!("{}.{timestamp}.{}", message.delivery_id, message.body);
            request = request.header("x-mlflow-signature", signature(secret, &signed));
        }
        let mut response = request
            .send(message.body.as_str())
            .map_err(|error| error.to_string())?;
        let retry_after = response.headers().get("retry-after");
        let retry_after_s = retry_after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let mut text = Vec::new();
        // The status is the answer; what follows it may break off.
        let _ = response
            .body_mut()
            .as_reader()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut text);
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after_s,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }
}

/// `v1,` and the HMAC-SHA256 of the text in base64.
fn signature(secret: &str, signed: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    mac.update(signed.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Resolves a name once, for the connection that is made then, and hands on only what may be called.
#[derive(Debug)]
struct Checked {
    rules: Arc<WebhookRules>,
    inner: DefaultResolver,
}

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let addresses: Vec<SocketAddr> = found.iter().copied().collect();
        match self.rules.check(uri.host().unwrap_or_default(), &addresses) {
            Ok(()) => Ok(found),
            Err(refused) => Err(ureq::Error::Io(std::io::Error::other(refused.to_string()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_as_its_receivers_compute_it() {
        // printf '%s' 'id.1.{}' | openssl dgst -sha256 -hmac secret -binary | base64
        assert_eq!(
            signature("secret", "id.1.{}"),
            "v1,490pAcC1LQ1k1cOcmH0da199+A88OKCj0Io4WnJlp68="
        );
    }

    #[test]
    fn an_address_that_became_internal_is_not_called() {
        let sender = Sender::new(WebhookRules {
            schemes: vec!["http".into()],
            private_addresses: false,
        });
        let message = Message {
            url: "http://localhost:9/".into(),
            delivery_id: "id".into(),
            secret: None,
            body: "{}".into(),
        };
        let refused = sender.send_now(&message, Millis(0)).err().expect("it is refused");
        assert!(refused.contains("non-public"), "{refused}");
    }
}
