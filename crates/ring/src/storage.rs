//! Where a ring keeps its slots: inline, allocated, or lent by the caller.

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::fmt;

/// The most values that any ring holds.
pub(crate) const MOST: usize = 1 << 30;

/// Where a ring keeps its slots: an array, a box, or a slice that the caller lends. Not to be implemented elsewhere.
pub trait Storage<S>: sealed::Sealed {
    /// Always the same slots.
    #[doc(hidden)]
    fn slots(&self) -> &[S];
}

impl<S, const N: usize> Storage<S> for [S; N] {
    fn slots(&self) -> &[S] {
        self
    }
}

#[cfg(feature = "alloc")]
impl<S> Storage<S> for Box<[S]> {
    fn slots(&self) -> &[S] {
        self
    }
}

impl<S> Storage<S> for &mut [S] {
    fn slots(&self) -> &[S] {
        self
    }
}

mod sealed {
    pub trait Sealed {}
    impl<S, const N: usize> Sealed for [S; N] {}
    #[cfg(feature = "alloc")]
    impl<S> Sealed for alloc::boxed::Box<[S]> {}
    impl<S> Sealed for &mut [S] {}
}

/// A capacity that a ring cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CapacityError {
    asked: usize,
    power_of_two: bool,
}

impl CapacityError {
    /// `asked`, if a ring can have as many slots.
    pub(crate) const fn check(asked: usize, power_of_two: bool) -> Result<usize, CapacityError> {
        if asked == 0 || asked > MOST || (power_of_two && !asked.is_power_of_two()) {
            return Err(CapacityError { asked, power_of_two });
        }
        Ok(asked)
    }

    /// A capacity that is beyond what this kind of ring can have.
    pub(crate) const fn too_many(asked: usize) -> CapacityError {
        CapacityError { asked, power_of_two: true }
    }

    /// An error as a panic, for constructors that allocate.
    #[cfg(feature = "alloc")]
    pub(crate) fn require(checked: Result<usize, CapacityError>) {
        if let Err(error) = checked {
            panic!("{error}");
        }
    }

    /// The capacity that was asked for.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked
    }
}

impl fmt::Display for CapacityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = if self.power_of_two { "a power of two, at most 2^30" } else { "1 to 2^30" };
        write!(f, "a ring cannot have {} slots; take {rule}", self.asked)
    }
}

impl core::error::Error for CapacityError {}
