//! Passwords are kept as argon2id hashes. Hashing is slow and takes memory on purpose, so only a few are computed at
//! a time, and only so many wait.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use lathe_types::ErrorKind;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::ApiError;

/// Hashes computed at a time: each takes 19 MiB and a core.
const AT_ONCE: usize = 2;
/// Requests that wait for one; more are told to come back.
const WAITING_MAX: usize = 64;

/// Hashes and compares passwords.
#[derive(Clone)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    /// Compared with where there is no such user, so that the time taken does not tell.
    nobody: Arc<str>,
}

impl Hasher {
    /// Fails only if argon2 refuses its own default settings.
    pub fn new() -> Result<Self, ApiError> {
        Ok(Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)),
            nobody: hash(&new_secret())?.into(),
        })
    }

    /// The hash of a password, with a salt of its own.
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        self.compute(move || hash(&password)).await?
    }

    /// Whether a password is the one that was hashed; takes as long if there is no hash.
    pub async fn verify(&self, password: String, known: Option<String>) -> Result<bool, ApiError> {
        let nobody = self.nobody.clone();
        self.compute(move || match known {
            Some(known) => matches(&password, &known),
            None => {
                matches(&password, &nobody);
                false
            }
        })
        .await
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let busy = || {
            ApiError::new(
                ErrorKind::Exhausted,
                "too many logins at once; try again in a moment",
            )
        };
        let place = self.places.clone().try_acquire_owned().map_err(|_| busy())?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        done.await
            .map_err(|_| ApiError::new(ErrorKind::Internal, "the password could not be checked"))
    }
}

/// The settings that OWASP's password storage guide gives for argon2id: 19 MiB, two passes.
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

fn hash(password: &str) -> Result<String, ApiError> {
    let failed = |_| ApiError::new(ErrorKind::Internal, "the password could not be hashed");
    let salt = SaltString::encode_b64(Uuid::new_v4().as_bytes()).map_err(failed)?;
    let hash = argon2()
        .hash_password(password.as_bytes(), &salt)
        .map_err(failed)?;
    Ok(hash.to_string())
}

fn matches(password: &str, known: &str) -> bool {
    let parsed = PasswordHash::new(known);
    parsed.is_ok_and(|known| argon2().verify_password(password.as_bytes(), &known).is_ok())
}

/// 244 random bits, as text.
pub fn new_secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_its_own_hash_only_and_never_the_same_text_twice() {
        let (one, two) = (
            hash("correct horse battery").unwrap(),
            hash("correct horse battery").unwrap(),
        );
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert!(matches("correct horse battery", &one) && matches("correct horse battery", &two));
        assert!(!matches("correct horse batterY", &one));
        assert!(!matches("correct horse battery", "not a hash"));
    }
}
