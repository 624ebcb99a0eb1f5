//! What the stress tests share: everybody at once, for a second or for ten, with sums that must agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use weblane_pool::{JoinHandle, ThreadPool};

use crate::{WORKERS, soon};

/// How long each test lasts.
#[must_use]
pub fn milliseconds() -> f64 {
    if option_env!("WEBLANE_LONG").is_some() { 10_000.0 } else { 1_000.0 }
}

/// Starts `work` on all four workers, each with its number; nobody begins before all are there.
pub fn on_all_four<T: Send + 'static>(
    pool: &ThreadPool,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<JoinHandle<T>> {
    let (work, arrived) = (Arc::new(work), Arc::new(AtomicU32::new(0)));
    let start = |index| {
        let (work, arrived) = (Arc::clone(&work), Arc::clone(&arrived));
        pool.spawn(move || {
            arrived.fetch_add(1, Ordering::SeqCst);
            weblane_futex::notify_all(&arrived);
            loop {
                let seen = arrived.load(Ordering::SeqCst);
                if seen == WORKERS as u32 {
                    break;
                }
                let _ = weblane_futex::wait(&arrived, seen, None);
            }
            work(index)
        })
    };
    (0..WORKERS).map(start).collect()
}

/// The values of all of them.
pub async fn all<T: Send>(what: &str, handles: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut values = Vec::new();
    for handle in handles {
        values.push(soon(what, handle).await.expect("no panic"));
    }
    values
}

/// Lets other threads run, on a worker that has found nothing: first by spinning, then by sleeping for a moment.
#[derive(Default)]
pub struct Pause(u32);

impl Pause {
    /// Found nothing.
    pub fn nothing(&mut self) {
        self.0 += 1;
        if self.0 < 200 {
            crate::turns(20);
        } else {
            let _ = weblane_futex::wait(&AtomicU32::new(0), 0, Some(Duration::from_micros(100)));
        }
    }

    /// Found something.
    pub fn something(&mut self) {
        self.0 = 0;
    }
}

/// A number that does not look like its neighbours: sums of these do not cancel out.
fn mixed(value: u64) -> u64 {
    (value ^ value >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What went in, or came out.
#[derive(Default)]
pub struct Sum {
    count: AtomicU64,
    sum: AtomicU64,
}

impl Sum {
    fn add(&self, count: u64, sum: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.sum.fetch_add(sum, Ordering::Relaxed);
    }

    /// One more value.
    pub fn one(&self, value: u64) {
        self.add(1, mixed(value));
    }

    /// How many, and their sum.
    #[must_use]
    pub fn read(&self) -> (u64, u64) {
        (self.count.load(Ordering::Relaxed), self.sum.load(Ordering::Relaxed))
    }
}
