//! Loops in parallel, split on demand.
//!
//! A loop runs its indices one by one for as long as the thread's window is full. When there is room, because the loop has just begun or because a thief has
//! taken something, it splits what is left in halves and joins them. So it splits as often as somebody is there to take a half, and needs no grain.

use core::marker::PhantomData;
use core::ops::Range;

use super::api::join;
use super::hot;
use crate::ThreadPool;
use crate::handle::JoinError;

/// Calls `body` for every index, in parallel inside a task of a pool; in no particular order.
///
/// # Panics
///
/// Where panics unwind: with a panic of `body`, after all that was begun has ended; some indices are left out then.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// let sum = AtomicU64::new(0);
/// weblane_pool::par_for(0..100, |i| {
///     sum.fetch_add(i as u64, Ordering::Relaxed);
/// });
/// assert_eq!(sum.into_inner(), 4950);
/// ```
pub fn par_for(range: Range<usize>, body: impl Fn(usize) + Sync) {
    split(range, &body);
}

fn split(mut range: Range<usize>, body: &(impl Fn(usize) + Sync)) {
    while !range.is_empty() {
        if range.len() > 1 && !hot::inline_only() {
            let middle = range.start + range.len() / 2;
            join(|| split(range.start..middle, body), || split(middle..range.end, body));
            return;
        }
        body(range.start);
        range.start += 1;
    }
}

/// Calls `body` with every chunk of `size` elements (the last may be shorter) and its number.
///
/// # Panics
///
/// If `size` is zero. Otherwise as [`par_for`].
///
/// # Examples
///
/// ```
/// weblane_pool::par_chunks(&[1, 2, 3, 4, 5], 2, |number, chunk| assert_eq!(chunk[0], 2 * number + 1));
/// ```
pub fn par_chunks<T: Sync>(slice: &[T], size: usize, body: impl Fn(usize, &[T]) + Sync) {
    assert!(size != 0, "chunks of no elements; say at least 1");
    par_for(0..slice.len().div_ceil(size), |number| {
        let start = number * size;
        body(number, &slice[start..slice.len().min(start + size)]);
    });
}

/// A slice that is handed out in pieces.
struct Pieces<'a, T> {
    start: *mut T,
    length: usize,
    marker: PhantomData<&'a mut [T]>,
}

// SAFETY: it gives out disjoint `&mut [T]`, each once; to send those, `T: Send` is enough.
unsafe impl<T: Send> Sync for Pieces<'_, T> {}

impl<T> Pieces<'_, T> {
    /// # Safety
    ///
    /// In range, and no other piece that is alive overlaps.
    #[expect(clippy::mut_from_ref, reason = "disjoint pieces of what was borrowed mutably")]
    unsafe fn get(&self, range: Range<usize>) -> &mut [T] {
        debug_assert!(range.end <= self.length);
        // SAFETY: passed on to the caller.
        unsafe { core::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

/// As [`par_chunks`], with chunks that may be changed.
///
/// # Panics
///
/// As [`par_chunks`].
///
/// # Examples
///
/// ```
/// let mut numbers = [0; 5];
/// weblane_pool::par_chunks_mut(&mut numbers, 2, |number, chunk| chunk.fill(number));
/// assert_eq!(numbers, [0, 0, 1, 1, 2]);
/// ```
pub fn par_chunks_mut<T: Send>(slice: &mut [T], size: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    assert!(size != 0, "chunks of no elements; say at least 1");
    let pieces = Pieces { start: slice.as_mut_ptr(), length: slice.len(), marker: PhantomData };
    let pieces = &pieces;
    par_for(0..pieces.length.div_ceil(size), |number| {
        let start = number * size;
        // SAFETY: chunks do not overlap, and each number comes once.
        body(number, unsafe { pieces.get(start..pieces.length.min(start + size)) });
    });
}

/// Maps every index and folds the values, in their order; `None` for an empty range. `reduce` must be associative.
///
/// # Panics
///
/// As [`par_for`].
///
/// # Examples
///
/// ```
/// assert_eq!(weblane_pool::par_map_reduce(1..11, |i| i * i, |a, b| a + b), Some(385));
/// ```
pub fn par_map_reduce<T: Send>(
    range: Range<usize>,
    map: impl Fn(usize) -> T + Sync,
    reduce: impl Fn(T, T) -> T + Sync,
) -> Option<T> {
    fold(range, &map, &reduce)
}

fn fold<T: Send>(
    mut range: Range<usize>,
    map: &(impl Fn(usize) -> T + Sync),
    reduce: &(impl Fn(T, T) -> T + Sync),
) -> Option<T> {
    let both = |a: Option<T>, b: Option<T>| match (a, b) {
        (Some(a), Some(b)) => Some(reduce(a, b)),
        (a, b) => a.or(b),
    };
    let mut sum = None;
    while !range.is_empty() {
        if range.len() > 1 && !hot::inline_only() {
            let middle = range.start + range.len() / 2;
            let (a, b) = join(|| fold(range.start..middle, map, reduce), || fold(middle..range.end, map, reduce));
            return both(sum, both(a, b));
        }
        sum = both(sum, Some(map(range.start)));
        range.start += 1;
    }
    sum
}

impl ThreadPool {
    /// [`par_for`] in this pool: from one of its tasks directly, from elsewhere by way of [`install`](ThreadPool::install).
    ///
    /// # Errors
    ///
    /// As for [`install`](ThreadPool::install).
    ///
    /// # Panics
    ///
    /// As [`par_for`].
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(not(target_arch = "wasm32"))]
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let pool = weblane_pool::ThreadPool::with_threads(2)?;
    /// pool.par_for(0..10, |i| println!("{i}"))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn par_for(&self, range: Range<usize>, body: impl Fn(usize) + Sync + Send) -> Result<(), JoinError> {
        self.install(|| par_for(range, body))
    }
}
