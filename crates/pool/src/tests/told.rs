//! What the reaper tells those who wait for a job that had ended before its runner died.

use core::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

use crate::native::NativeHost;

/// Race 18: a runner that dies between DONE and telling whoever waits: the reaper tells in its place. Headers that it is done with are left alone.
#[test]
fn race_18_the_joiners_of_what_had_ended_are_told() {
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    struct Flag(AtomicU32);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const DEAD: u32 = 65_002;
    let (before, waiting) = crate::job::JobRef::new::<NativeHost, _, _>(|| 1);
    before.run_if_queued(DEAD);
    drop(waiting);
    let (queued, waiting) = crate::job::JobRef::new::<NativeHost, _, _>(|| 2);
    let flag = Arc::new(Flag(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    let mut handle = pin!(crate::handle::Handle::<i32, NativeHost>::new(waiting));
    assert!(handle.as_mut().poll(&mut context).is_pending());
    assert!(queued.header().claim(DEAD));
    // It ends the task and does not see that there is a waker, as if it had died before it could wake it.
    let waker_bit = 1 << 3;
    assert_ne!(queued.header().word().fetch_and(!waker_bit, Ordering::AcqRel) & waker_bit, 0);
    // SAFETY: just claimed.
    unsafe { queued.header().run() };
    queued.header().word().fetch_or(waker_bit, Ordering::AcqRel);
    // SAFETY: no thread has this number.
    assert_eq!(unsafe { crate::slab::trap_all(DEAD, "") }, 0);
    assert_eq!(flag.0.load(Ordering::Relaxed), 1);
    assert!(matches!(handle.as_mut().poll(&mut context), Poll::Ready(Ok(2))));
}
