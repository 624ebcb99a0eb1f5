//! A closure that runs once and is given its scope: as `task::Task`, but it may borrow, and takes an argument.

use alloc::boxed::Box;
use core::marker::PhantomData;
use core::mem::{ManuallyDrop, MaybeUninit};

use super::scope::Scope;

type Data = MaybeUninit<[u64; 6]>;
type Boxed<'scope> = Box<dyn FnOnce(&Scope<'scope>) + Send + 'scope>;

/// A closure of up to 48 bytes inline, a larger one boxed.
pub(super) struct Child<'scope> {
    run: unsafe fn(*mut Data, &Scope<'scope>),
    drop: unsafe fn(*mut Data),
    data: Data,
    marker: PhantomData<Boxed<'scope>>,
}

// SAFETY: `Child::new` takes only closures that are `Send`; the rest are function pointers.
unsafe impl Send for Child<'_> {}

impl<'scope> Child<'scope> {
    #[inline]
    pub(super) fn new<F: FnOnce(&Scope<'scope>) + Send + 'scope>(run: F) -> Self {
        if size_of::<F>() <= size_of::<Data>() && align_of::<F>() <= align_of::<Data>() {
            // SAFETY: it fits, as was just checked.
            unsafe { Child::inline(run) }
        } else {
            let boxed: Boxed<'scope> = Box::new(run);
            // SAFETY: a box fits.
            unsafe { Child::inline(boxed) }
        }
    }

    /// # Safety
    ///
    /// `F` is no larger than `Data`, and needs no larger alignment.
    unsafe fn inline<F: FnOnce(&Scope<'scope>) + Send + 'scope>(run: F) -> Self {
        let mut data = Data::uninit();
        // SAFETY: the caller says that it fits.
        unsafe { data.as_mut_ptr().cast::<F>().write(run) };
        Child { run: call::<F>, drop: discard::<F>, data, marker: PhantomData }
    }

    pub(super) fn run(self, scope: &Scope<'scope>) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `data` holds the closure that `run` was made for; `this` is never dropped, so it is used up once.
        unsafe { (this.run)(&mut this.data, scope) };
    }
}

impl Drop for Child<'_> {
    fn drop(&mut self) {
        // SAFETY: `data` holds the closure that `drop` was made for, and `run` forgets the child, so this is its only end.
        unsafe { (self.drop)(&mut self.data) };
    }
}

/// # Safety
///
/// `data` holds an `F`, and is not used as one afterwards.
unsafe fn call<'scope, F: FnOnce(&Scope<'scope>)>(data: *mut Data, scope: &Scope<'scope>) {
    // SAFETY: the caller says that an `F` is there, and gives it up.
    (unsafe { data.cast::<F>().read() })(scope);
}

/// # Safety
///
/// As for `call`.
unsafe fn discard<F>(data: *mut Data) {
    // SAFETY: as in `call`.
    unsafe { data.cast::<F>().drop_in_place() };
}
