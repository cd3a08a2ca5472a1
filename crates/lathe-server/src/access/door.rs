use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lathe_store::Account;
use lathe_types::access::Permission;

use super::password::{Hasher, new_secret};
use super::throttle::Throttle;
use crate::ApiError;

/// For how long what was read of a user is good. Changes made through this process count at once; those of other
/// processes on the same database after this long.
const ACCOUNTS_FOR: Duration = Duration::from_secs(2);
/// For how long a password that was checked need not be checked again.
const CHECKED_FOR: Duration = Duration::from_secs(300);
/// Entries of each cache at most.
const ENTRIES_MAX: usize = 10_000;

/// Whether people log in.
#[derive(Clone, Default)]
pub enum Login {
    /// Nobody does; there are no users.
    #[default]
    Off,
    /// Nobody does, since whoever speaks here can open the database itself: commands in this process.
    Local,
    /// Everybody does.
    On(Arc<Door>),
}

/// What is remembered of users between requests.
pub struct Door {
    /// What is allowed where no grant says anything.
    pub(super) default: Permission,
    pub(crate) hasher: Hasher,
    pub(super) throttle: Throttle,
    /// The token of this process's own jobs; never stored.
    internal: String,
    /// Makes the digests of credentials in memory useless elsewhere.
    pub(super) salt: String,
    accounts: Mutex<HashMap<String, (Instant, Option<Account>)>>,
    /// Digest of name and password, with the hash that it was checked against.
    checked: Mutex<HashMap<[u8; 32], (Instant, String)>>,
}

impl Door {
    /// A door that lets nobody in yet. `default` is what is allowed where no grant says anything.
    pub fn new(default: Permission) -> Result<Self, ApiError> {
        Ok(Self {
            default,
            hasher: Hasher::new()?,
            throttle: Throttle::default(),
            internal: format!("lathe_internal_{}", new_secret()),
            salt: new_secret(),
            accounts: Mutex::default(),
            checked: Mutex::default(),
        })
    }

    /// The token for this server's own jobs.
    pub fn internal_token(&self) -> &str {
        &self.internal
    }

    /// Hashes passwords.
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// What was read of this user lately.
    pub(super) fn remembered(&self, key: &str, now: Instant) -> Option<Option<Account>> {
        let accounts = lock(&self.accounts);
        let (since, account) = accounts.get(key)?;
        (now.saturating_duration_since(*since) < ACCOUNTS_FOR).then(|| account.clone())
    }

    pub(super) fn remember(&self, key: String, account: Option<Account>, now: Instant) {
        let mut accounts = lock(&self.accounts);
        make_room(&mut accounts, ACCOUNTS_FOR, now, |(since, _)| *since);
        accounts.insert(key, (now, account));
    }

    /// Whether these credentials were checked against this hash lately.
    pub(super) fn was_checked(&self, digest: &[u8; 32], hash: &str, now: Instant) -> bool {
        let checked = lock(&self.checked);
        let known = checked.get(digest);
        known.is_some_and(|(since, known)| {
            known == hash && now.saturating_duration_since(*since) < CHECKED_FOR
        })
    }

    pub(super) fn set_checked(&self, digest: [u8; 32], hash: String, now: Instant) {
        let mut checked = lock(&self.checked);
        make_room(&mut checked, CHECKED_FOR, now, |(since, _)| *since);
        checked.insert(digest, (now, hash));
    }

    /// Something about users, tokens or grants changed: read it anew.
    pub(crate) fn forget(&self) {
        lock(&self.accounts).clear();
    }
}

fn make_room<K: Eq + std::hash::Hash, V>(
    map: &mut HashMap<K, V>,
    good_for: Duration,
    now: Instant,
    since: impl Fn(&V) -> Instant,
) {
    if ENTRIES_MAX <= map.len() {
        map.retain(|_, value| now.saturating_duration_since(since(value)) < good_for);
    }
    if ENTRIES_MAX <= map.len() {
        map.clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind it is whole after every statement.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
