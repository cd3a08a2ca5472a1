//! What people do with data: each operation looks at everything first, refuses what it must, and only then changes
//! files.

mod add;
mod checkout;
mod commit;
mod compare;
mod import;
mod merge;
mod place;
mod status;

mod links;

pub use add::{AddOptions, Added, add};
pub use checkout::{Checkout, CheckoutOptions, checkout, restore};
pub use commit::{commit, renew};
pub use compare::{Differences, Index, IndexEntry, compare, index_of_records, index_of_workspace};
pub use import::import;
pub use merge::merge;
pub use place::{move_data, remove, unprotect};
pub use status::{OutChange, out_change};
