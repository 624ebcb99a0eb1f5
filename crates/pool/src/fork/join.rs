//! `join`: two closures, the second of which anybody may take meanwhile.

use core::hint;
use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};
use core::time::Duration;
use std::panic::resume_unwind;

use super::branch::{self, Branch, Header, Lost, run_taken};
use super::hot;
use super::window::Window;
use crate::host::{Host, Payload};
use crate::primitive::fence_after_publication;
use crate::scheduler::Core;

/// How often a waiting worker looks before it sleeps. A few microseconds: less than a wake-up costs, and more than a small branch.
const LOOKS: u32 = if cfg!(any(loom, shuttle)) {
    0
} else if cfg!(target_arch = "wasm32") {
    2000
} else {
    200
};

/// Runs both; in parallel if the calling thread is a worker with room in its window, and somebody takes the second.
#[inline(always)]
pub(crate) fn join_in<H, A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    H: Host,
    A: FnOnce() -> RA,
    B: FnOnce() -> RB,
{
    if hot::inline_only() {
        return both::<H, _, _>(a, b);
    }
    // By way of the thread's own scratch memory where it fits: a place in this frame would cost the fast path, too, a frame in memory, which
    // on wasm is most of the price of a small function.
    if hot::Scratch::<(RA, RB)>::fits() {
        let scratch = join_to_scratch::<H, _, _, _, _>(a, b);
        // SAFETY: just filled, by this thread, and read once.
        unsafe { scratch.take() }
    } else {
        join_with_room::<H, _, _, _, _>(a, b)
    }
}

#[cold]
#[inline(never)]
fn join_to_scratch<H, A, B, RA, RB>(a: A, b: B) -> hot::Scratch<(RA, RB)>
where
    H: Host,
    A: FnOnce() -> RA,
    B: FnOnce() -> RB,
{
    hot::Scratch::put(join_with_room::<H, _, _, _, _>(a, b))
}

/// One after the other. If the first panics the second runs all the same, as it would if somebody had taken it.
#[inline(always)]
fn both<H: Host, RA, RB>(a: impl FnOnce() -> RA, b: impl FnOnce() -> RB) -> (RA, RB) {
    let mut second = Second::<H, _, _>(ManuallyDrop::new(b), PhantomData);
    let a = a();
    // SAFETY: its only use; `second` is forgotten.
    let b = unsafe { ManuallyDrop::take(&mut second.0) };
    mem::forget(second);
    (a, b())
}

/// A closure that runs when the one before it unwinds.
struct Second<H: Host, B: FnOnce() -> RB, RB>(ManuallyDrop<B>, PhantomData<fn() -> H>);

impl<H: Host, B: FnOnce() -> RB, RB> Drop for Second<H, B, RB> {
    fn drop(&mut self) {
        // SAFETY: dropped once, and only if `both` has not taken it.
        let second = unsafe { ManuallyDrop::take(&mut self.0) };
        // The first panic wins.
        let _ = H::catch(|| drop(second()));
    }
}

#[cold]
fn second_then_unwind<H: Host, RB>(b: impl FnOnce() -> RB, payload: Payload) -> ! {
    // The first panic wins.
    let _ = H::catch(|| drop(b()));
    resume_unwind(payload)
}

#[cold]
fn join_with_room<H, A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    H: Host,
    A: FnOnce() -> RA,
    B: FnOnce() -> RB,
{
    let Some(seat) = H::seat() else {
        return both::<H, _, _>(a, b);
    };
    // SAFETY: a seat is only set while its pool's core is alive and running on this thread.
    let core = unsafe { &*seat.core };
    let (me, window) = (seat.worker, &core.host().lane(seat.worker).window);
    let branch = Branch::new::<H>(me, b);
    H::publish_memory();
    // SAFETY: this thread is worker `me`; the branch stays in this frame until it was popped or settled, on every path: `a` does not unwind.
    if !unsafe { window.push(branch.as_pointer()) } {
        // SAFETY: it was not pushed.
        return both::<H, _, _>(a, unsafe { branch.into_closure() });
    }
    hot::refresh(window);
    announce(core, window);
    let a = H::catch(a);
    // SAFETY: this thread is worker `me`, and what was pushed since is popped or settled: the youngest branch is this one.
    if unsafe { window.pop() } {
        hot::refresh(window);
        // SAFETY: popped.
        let b = unsafe { branch.into_closure() };
        return match a {
            Ok(a) => (a, b()),
            Err(payload) => second_then_unwind::<H, RB>(b, payload),
        };
    }
    wait_for(core, me, branch.header());
    // SAFETY: as for `pop`; it was taken, and it is done.
    unsafe { window.settle() };
    hot::refresh(window);
    match (a, branch.into_result()) {
        (Ok(a), Some(Ok(b))) => (a, b),
        (Err(payload), b) => {
            let _ = H::catch(|| drop(b));
            resume_unwind(payload)
        }
        (Ok(_), Some(Err(payload))) => resume_unwind(payload),
        (Ok(_), None) => resume_unwind(lost::<H>()),
    }
}

/// The panic of a join whose branch was lost. There is no value to return, so where panics abort this worker dies, too, and its task's handle says why.
#[cold]
pub(super) fn lost<H: Host>() -> Payload {
    let panic = || -> core::convert::Infallible { panic!("the worker that ran a part of this join or scope has died") };
    match H::catch(panic) {
        Ok(never) => match never {},
        Err(payload) => payload,
    }
}

/// After a push: wakes whoever could take the branch.
pub(super) fn announce<H: Host>(core: &Core<H>, window: &Window) {
    core.wake_one();
    if let Some(helper) = window.call_helper() {
        core.host().lane(helper).window.ring();
    }
}

/// Waits until the thief is done, and helps him meanwhile: what is in his window was all forked by the branch that is waited for.
pub(crate) fn wait_for<H: Host>(core: &Core<H>, me: usize, header: &Header) {
    let window = |worker: usize| &core.host().lane(worker).window;
    let mut looks = 0;
    loop {
        let state = header.state();
        if state.done() {
            break;
        }
        if let Some(taken) = state.thief().and_then(|thief| window(thief).steal(thief, window(me))) {
            // SAFETY: just taken; this thread is worker `me`.
            unsafe { run_taken(core, me, taken) };
            looks = 0;
            continue;
        }
        if looks < LOOKS {
            looks += 1;
            hint::spin_loop();
            continue;
        }
        let rings = window(me).rings();
        let state = header.announce_sleeper();
        if state.done() {
            break;
        }
        match state.thief() {
            Some(thief) => {
                window(thief).add_helper(me);
                // Orders the announcement before the look; partner: the fence in `wake_one`, between `push` and `call_helper`.
                fence_after_publication();
                if window(thief).is_empty() {
                    core.hand_over();
                    window(me).sleep(rings, None);
                }
                window(thief).remove_helper(me);
            }
            // He has claimed it and not said so yet; he rings when he does. If he dies before, the reaper rings.
            None => {
                let again = match branch::lost_before_mark(core, me, header) {
                    Some(Lost::Yes) => continue,
                    Some(Lost::Perhaps) => Some(Duration::from_millis(1)),
                    None => None,
                };
                core.hand_over();
                window(me).sleep(rings, again);
            }
        }
    }
    H::adopt_memory();
}
