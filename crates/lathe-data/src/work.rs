//! Work on many files at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Files taken from the list at once, so that threads do not meet at the counter for each.
const CHUNK: usize = 32;

/// Threads for work that mostly computes or waits for the local disk.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism()
        .map_or(2, usize::from)
        .min(32)
}

/// Does something with every item on all cores and gives the results in the order of the items. The first error ends
/// the work of all.
pub(crate) fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    act: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    each_on(threads(), CHUNK, items, act)
}

/// As [`each`], with as many threads as wanted, which take `chunk` items at once.
pub fn each_on<T: Sync, R: Send, E: Send>(
    threads: usize,
    chunk: usize,
    items: &[T],
    act: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let chunk = chunk.max(1);
    let threads = threads.min(items.len().div_ceil(chunk)).max(1);
    if threads == 1 {
        return items.iter().map(act).collect();
    }
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let failure = Mutex::new(None);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let start = next.fetch_add(chunk, Ordering::Relaxed);
                    let Some(rest) = items.get(start..).filter(|rest| !rest.is_empty()) else {
                        break;
                    };
                    let part: Result<Vec<R>, E> = rest.iter().take(chunk).map(&act).collect();
                    match part {
                        Ok(part) => done.lock().expect("no thread panics with it").push((start, part)),
                        Err(error) => {
                            failed.store(true, Ordering::Relaxed);
                            failure
                                .lock()
                                .expect("no thread panics with it")
                                .get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    if let Some(error) = failure.into_inner().expect("no thread panics with it") {
        return Err(error);
    }
    let mut done = done.into_inner().expect("no thread panics with it");
    done.sort_by_key(|(start, _)| *start);
    Ok(done.into_iter().flat_map(|(_, part)| part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_and_an_error_ends_it() {
        let items: Vec<usize> = (0..1000).collect();
        let doubled: Result<Vec<usize>, ()> = each_on(4, 7, &items, |item| Ok(item * 2));
        assert_eq!(doubled.unwrap()[999], 1998);
        let failed = each_on(
            4,
            7,
            &items,
            |item| if *item == 500 { Err(*item) } else { Ok(()) },
        );
        assert_eq!(failed.unwrap_err(), 500);
    }
}
